# SPDX-License-Identifier: Apache-2.0
"""The message for users when a step of the launcher failed. Pure, but for looking at the files in question.

In: what was to be started, and the step and errno of the launcher. Out: a `LaunchRejected`.
"""

import errno
import os
from pathlib import Path

from tidegate.kit.files import first_unsearchable_folder
from tidegate.node.runtime import LaunchRejected
from tidegate.node.runtimes.process.launcher import LaunchError
from tidegate.node.runtimes.process.spec import ProcessSpec

CANNOT = "CreateContainerError"
_MISSING = "ContainerMissing"


def launch_rejection(spec: ProcessSpec, error: LaunchError) -> LaunchRejected:
    """Why the program of `spec` could not be started."""
    program, directory, user = spec.program[0], spec.directory, spec.confinement.user
    missing = error.number in (errno.ENOENT, errno.ENOTDIR)
    if error.step == "directory":
        why = "does not exist" if missing else f"cannot be entered: {os.strerror(error.number)}"
        return LaunchRejected(CANNOT, f"the working directory {directory} {why}{_obstacle(directory, user)}")
    if error.step != "program":
        return LaunchRejected(CANNOT, f"cannot start {program}: {error}")
    if error.number == errno.ENOENT:
        return LaunchRejected(_MISSING, _missing(spec))
    if error.number in (errno.EACCES, errno.EPERM, errno.ENOTDIR):
        why = f"may not execute {program}: {os.strerror(error.number)}"
        return LaunchRejected(CANNOT, why + _obstacle((directory or Path("/")) / program, user))
    return LaunchRejected(CANNOT, f"cannot start {program}: {os.strerror(error.number)}")


def _missing(spec: ProcessSpec) -> str:
    program = spec.program[0]
    if "/" not in program:
        return f"{program} is in none of the folders of PATH ({spec.environment.get('PATH', '')})"
    path = (spec.directory or Path("/")) / program
    if hint := _obstacle(path, spec.confinement.user):
        return f"there is no program {path} that the app can reach{hint}"
    if path.exists():  # its interpreter is missing
        return f"{path} names an interpreter that does not exist"
    return f"there is no program {path} on this host"


def _obstacle(path: Path | None, user: int | None) -> str:
    """The app's user and the folder on the way to `path` that this user may not pass; "" if there is none."""
    folder = first_unsearchable_folder(path) if path is not None and user else None
    return f"; the app runs as user {user}, who may not pass {folder}" if folder is not None else ""
