# SPDX-License-Identifier: Apache-2.0
"""The programs of this host that containers take: an OCI runtime and conmon.

In: PATH, and the runtime that the user named. Out: `Tools`, or `LaunchRejected` with the missing program and the
package that has it. Called by: `runtime.py`, for the first container; nothing is looked for before.

crun needs less memory and time than runc, and is taken where it can make a container: it refuses some layouts of
control groups, so it is tried once (`trial`).
"""

import os
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

import structlog

from tidegate.kit.processes import USUAL_PATH
from tidegate.node.runtime import LaunchRejected
from tidegate.node.runtimes.oci import programs
from tidegate.node.runtimes.oci.failures import CREATE_ERROR
from tidegate.node.runtimes.oci.seccomp import PROFILES

PACKAGES = {
    "crun": "crun (Debian, Ubuntu, Fedora)",
    "runc": "runc (Debian, Ubuntu, Fedora)",
    "conmon": "conmon (Debian, Ubuntu, Fedora)",
    "seccomp.json": "golang-github-containers-common (Debian, Ubuntu) or containers-common (Fedora)",
}
"""The packages that have each program or file."""

_CHECK_SECONDS = 10.0
_log = structlog.get_logger("node")


class Tools(NamedTuple):
    """`has_fifo`: whether a created container waits at runc's exec.fifo, so that opening it starts the container."""

    runtime: str
    monitor: str
    has_fifo: bool

    @property
    def name(self) -> str:
        return Path(self.runtime).name


RuntimeTrial = Callable[[Tools], Awaitable[str]]
"""Makes and removes a container; "" or the failure."""


async def find_tools(named: Path | None, trial: RuntimeTrial) -> Tools:
    """`named`: the runtime that the user chose. Raises `LaunchRejected`."""
    if os.geteuid() != 0:
        raise LaunchRejected(
            CREATE_ERROR, "containers take root: start Tidegate as root, or run a bundle (tidegate deploy DIR)"
        )
    monitor = _program("conmon")
    if monitor is None:
        raise _missing("conmon")
    if not any(path.exists() for path in PROFILES):
        raise _missing("seccomp.json")
    if named is not None:
        return await _tools(_named(named), monitor)
    crun, runc = _program("crun"), _program("runc")
    if crun is not None:
        tools = await _tools(crun, monitor)
        failure = await trial(tools)
        if not failure:
            return tools
        if runc is None:
            raise LaunchRejected(CREATE_ERROR, f"crun cannot make a container on this host: {failure}")
        _log.info("containers run by runc", crun=failure)
    if runc is None:
        raise LaunchRejected(CREATE_ERROR, f"no OCI runtime is installed: install {PACKAGES['crun']}, or runc")
    return await _tools(runc, monitor)


def _program(name: str) -> Path | None:
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:{USUAL_PATH}")
    return Path(found) if found is not None else None


def _named(path: Path) -> Path:
    found = shutil.which(path)
    if found is None:
        raise LaunchRejected(CREATE_ERROR, f"--oci-runtime {path}: there is no such program")
    return Path(found)


def _missing(what: str) -> LaunchRejected:
    return LaunchRejected(CREATE_ERROR, f"{what} is not installed, which containers take: install {PACKAGES[what]}")


async def _tools(runtime: Path, monitor: Path) -> Tools:
    """Ask the runtime what it is: another program may have any name."""
    answer = await programs.output([runtime, "--version"], seconds=_CHECK_SECONDS)
    if not answer:
        raise LaunchRejected(CREATE_ERROR, f"{runtime} --version fails: it is no OCI runtime")
    return Tools(str(runtime), str(monitor), has_fifo=answer.startswith(b"runc version"))
