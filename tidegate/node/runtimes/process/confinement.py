# SPDX-License-Identifier: Apache-2.0
"""The user of a container's processes, and their privileges.

Only the standard library is imported here: the build hook loads `launcher.py`, which needs this file.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Confinement:
    """`user`: None for the user who runs Tidegate, with that user's groups and, outside of a sandbox, capabilities;
    `capabilities`: a mask of the capabilities that the processes may ever have; `gains`: whether set-user-ID programs
    work; `read_only`: whether only /dev can be written; `filtered`: whether the launcher's filter of system calls
    applies.
    `covered`: folders that other users may not pass; they are empty for the processes, except for `exposed`."""

    user: int | None = None
    group: int | None = None
    groups: tuple[int, ...] = ()
    capabilities: int = 0
    gains: bool = False
    read_only: bool = False
    filtered: bool = False
    covered: tuple[str, ...] = ()
    exposed: tuple[str, ...] = ()
