# SPDX-License-Identifier: Apache-2.0
"""Stops processes from using CPU and resumes them at once: by the freezers of control groups, else by signals.

In: the processes of a container. Out: a group with them and all processes that they start, frozen or not. Called by:
`running.py`, `processes.py`.

| host | how | what the app can notice |
| --- | --- | --- |
| a control group of version 2 that we may write, also beside version 1 | `cgroup.freeze` | nothing |
| version 1, root | `freezer.state` | nothing |
| neither | SIGSTOP and SIGCONT to every process | a handler of SIGCONT runs; a parent gets SIGCHLD |

A process that version 1 has frozen does not end before it is thawed, not even by SIGKILL. A process that SIGSTOP has
stopped does not end by SIGTERM.
"""

import signal
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from tidegate.kit.processes import Process
from tidegate.node.runtimes.process import limits, reclaim


class Freezer(Protocol):
    """Freezes and thaws. `name` is a path component, the same in all calls for a container."""

    def take(self, name: str, processes: Iterable[Process]) -> None:
        """Put the processes into a group, which may take the kernel some 10 ms. Raises `OSError` if the host
        refuses."""

    def freeze(self, name: str, processes: Iterable[Process]) -> None:
        """Stop the processes that were taken. Raises `OSError`."""

    def thaw(self, name: str, processes: Iterable[Process]) -> None:
        """Resume them at once; nothing if they are not frozen."""

    def reclaim(self, name: str, processes: Iterable[Process], go_on: reclaim.GoOn) -> None:
        """Move their memory to swap, as far as the kernel can. It takes as long as the swap: call it in a thread."""

    def release(self, name: str) -> None:
        """No process of it is left."""


class FreezerGroups:
    """A control group for each container, in `parent`. `frozen` and `thawed` are the values that `file` takes."""

    def __init__(self, parent: Path, file: str, frozen: str, thawed: str) -> None:
        self._parent = parent
        self._file = file
        self._frozen = frozen
        self._thawed = thawed

    def take(self, name: str, processes: Iterable[Process]) -> None:
        group = self._parent / name
        group.mkdir(exist_ok=True)
        members = set((group / "cgroup.procs").read_text().split())
        for process in processes:
            if str(process.pid) not in members:
                with suppress(ProcessLookupError):  # it has ended
                    (group / "cgroup.procs").write_text(str(process.pid))

    def freeze(self, name: str, processes: Iterable[Process]) -> None:
        (self._parent / name / self._file).write_text(self._frozen)

    def thaw(self, name: str, processes: Iterable[Process]) -> None:
        with suppress(OSError):  # a container that was never frozen has no group
            (self._parent / name / self._file).write_text(self._thawed)

    def reclaim(self, name: str, processes: Iterable[Process], go_on: reclaim.GoOn) -> None:
        if reclaim.has_swap() and not reclaim.from_group(self._parent / name, go_on):
            for process in processes:
                reclaim.from_process(process, go_on)

    def release(self, name: str) -> None:
        with suppress(OSError):
            (self._parent / name).rmdir()


def version_1(parent: Path) -> FreezerGroups:
    return FreezerGroups(parent, "freezer.state", "FROZEN", "THAWED")


def version_2(parent: Path) -> FreezerGroups:
    return FreezerGroups(parent, "cgroup.freeze", "1", "0")


class SignalFreezer:
    """Freezes by signals, if there is no control group."""

    def take(self, name: str, processes: Iterable[Process]) -> None:
        pass

    def freeze(self, name: str, processes: Iterable[Process]) -> None:
        for process in processes:
            process.signal(signal.SIGSTOP)

    def thaw(self, name: str, processes: Iterable[Process]) -> None:
        for process in processes:
            process.signal(signal.SIGCONT)

    def reclaim(self, name: str, processes: Iterable[Process], go_on: reclaim.GoOn) -> None:
        if reclaim.has_swap():
            for process in processes:
                reclaim.from_process(process, go_on)

    def release(self, name: str) -> None:
        pass


def freezer(groups: limits.LimitGroups | None = None, root: Path = limits.ROOT) -> Freezer:
    """The best freezer that this host and user have. `groups`: the groups of the instances' limits; they are used for
    freezing too if they are of version 2, because a process is in one group of version 2 only."""
    if isinstance(groups, limits.LimitGroupsV2):
        return version_2(groups.parent)
    for tree in (root, root / "unified"):
        for base in limits.own_groups(tree):
            parent = base / limits.OURS
            with suppress(OSError):
                parent.mkdir(exist_ok=True)
                if (parent / "cgroup.freeze").exists():
                    return version_2(parent)
    parent = root / "freezer" / limits.OURS
    with suppress(OSError):
        parent.mkdir(exist_ok=True)
        return version_1(parent)
    return SignalFreezer()
