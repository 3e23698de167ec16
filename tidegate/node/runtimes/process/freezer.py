# SPDX-License-Identifier: Apache-2.0
"""Processes that use no CPU and can go on at any moment: by the freezers of control groups, else by signals.

In: the processes of a container. Out: a group that holds them and what they start, frozen or not. Who: `process`.

| host | how | what the app can notice |
| --- | --- | --- |
| a control group of version 2 that we may write, also beside version 1 | `cgroup.freeze` | nothing |
| version 1, root | `freezer.state` | nothing |
| neither | SIGSTOP and SIGCONT to every process | a handler of SIGCONT runs; a parent is told of its children |

What is frozen by version 1 does not even end by SIGKILL before it is thawed, and by signals not by SIGTERM.
"""

import signal
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from tidegate.kit.processes import Process
from tidegate.node.runtimes.process import limits, reclaim


class Freezer(Protocol):
    """Freezes and thaws. `name` is one path component, the same in every call for a container."""

    def take(self, name: str, processes: Iterable[Process]) -> None:
        """Get hold of these, which may take the kernel some 10 ms. Raises `OSError` when the host does not let us."""

    def freeze(self, name: str, processes: Iterable[Process]) -> None:
        """Stop what was taken. Raises `OSError`."""

    def thaw(self, name: str, processes: Iterable[Process]) -> None:
        """Let them go on, at once; nothing where they are not frozen."""

    def reclaim(self, name: str, processes: Iterable[Process], go_on: reclaim.GoOn) -> None:
        """Give their memory back, as far as the kernel can. Takes as long as swap does: for a thread."""

    def release(self, name: str) -> None:
        """Nothing of it runs any more."""


class FreezerGroups:
    """A control group for each container, in `parent`. `file`, `frozen`, `thawed`: what is written where."""

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
                with suppress(ProcessLookupError):  # it has ended meanwhile
                    (group / "cgroup.procs").write_text(str(process.pid))

    def freeze(self, name: str, processes: Iterable[Process]) -> None:
        (self._parent / name / self._file).write_text(self._frozen)

    def thaw(self, name: str, processes: Iterable[Process]) -> None:
        with suppress(OSError):  # there is no group of what was never frozen
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
    """Where there is no control group."""

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
    """What this host and user can do. `groups`: where instances are held to their limits; a process is in one group
    of version 2 only, so that it must be the same."""
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
