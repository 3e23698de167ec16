# SPDX-License-Identifier: Apache-2.0
"""Limits on CPU and memory, by control groups if this user may make some.

In: a process and its `Limits`. Out: a group with it and all processes that it starts. The kernel kills them if they
exceed the memory and slows them down if they exceed the CPU. There are two layouts: version 2 (one tree; our group is
made beside the group that we run in, which systemd gives to its users) and version 1 (one tree for each controller;
only root may write). If neither can be written, limits are not enforced, and a warning says so for each instance.
Called by: `processes.py`.
"""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from tidegate.node.runtime import Limits

ROOT = Path("/sys/fs/cgroup")
_PERIOD = 100_000  # microseconds
OURS = "tidegate"


class LimitGroups(Protocol):
    """Enforces the limits of instances. `name` is a path component, the same in all calls for a container."""

    def apply(self, name: str, pid: int, limits: Limits) -> None:
        """Raises `OSError` if the host refuses."""

    def was_oom_killed(self, name: str) -> bool:
        """Whether the kernel killed a process in it because of the memory limit."""

    def release(self, name: str) -> None:
        """No process is left in it."""


class LimitGroupsV2:
    """One group for each container, in the unified tree."""

    def __init__(self, parent: Path) -> None:
        self.parent = parent

    def apply(self, name: str, pid: int, limits: Limits) -> None:
        group = self.parent / name
        group.mkdir(exist_ok=True)
        if limits.cpu is not None:
            (group / "cpu.max").write_text(f"{_quota(limits.cpu)} {_PERIOD}")
        if limits.memory is not None:
            (group / "memory.max").write_text(str(limits.memory))
            with suppress(OSError):  # hosts without swap accounting
                (group / "memory.swap.max").write_text("0")
        (group / "cgroup.procs").write_text(str(pid))

    def was_oom_killed(self, name: str) -> bool:
        return _count(self.parent / name / "memory.events", "oom_kill") > 0

    def release(self, name: str) -> None:
        with suppress(OSError):
            (self.parent / name).rmdir()


class LimitGroupsV1:
    """One group for each container in the tree of each controller."""

    def __init__(self, cpu: Path, memory: Path) -> None:
        self._cpu = cpu
        self._memory = memory

    def apply(self, name: str, pid: int, limits: Limits) -> None:
        if limits.cpu is not None:
            files = [("cpu.cfs_period_us", _PERIOD), ("cpu.cfs_quota_us", _quota(limits.cpu))]
            _fill(self._cpu / name, [*files, ("cgroup.procs", pid)])
        if limits.memory is not None:
            _fill(self._memory / name, [("memory.limit_in_bytes", limits.memory), ("cgroup.procs", pid)])

    def was_oom_killed(self, name: str) -> bool:
        return _count(self._memory / name / "memory.oom_control", "oom_kill") > 0

    def release(self, name: str) -> None:
        for tree in (self._cpu, self._memory):
            with suppress(OSError):
                (tree / name).rmdir()


def groups(root: Path = ROOT) -> LimitGroups | None:
    """The groups that this host and user can make; None if there are none."""
    if (root / "cgroup.controllers").exists():
        return _version2(root)
    trees = [root / "cpu" / OURS, root / "memory" / OURS]
    try:
        for tree in trees:
            tree.mkdir(exist_ok=True)
    except OSError:
        return None
    return LimitGroupsV1(*trees)


def _version2(root: Path) -> LimitGroupsV2 | None:
    """A group that contains only groups: the kernel allows no group with both processes and enabled controllers."""
    for base in own_groups(root):
        parent = base / OURS
        with suppress(OSError):
            (base / "cgroup.subtree_control").write_text("+cpu +memory")
            parent.mkdir(exist_ok=True)
            (parent / "cgroup.subtree_control").write_text("+cpu +memory")
            return LimitGroupsV2(parent)
    return None


def own_groups(root: Path) -> list[Path]:
    """The places in a tree of version 2 where a group of ours may be made: in the group that we run in, or beside
    it."""
    if not (root / "cgroup.controllers").exists():
        return []
    own = root / Path("/proc/self/cgroup").read_text().rpartition("::/")[2].strip()
    return [base for base in (own, own.parent) if base.is_relative_to(root)]


def _quota(cores: float) -> int:
    return max(1000, int(cores * _PERIOD))  # the kernel's minimum


def _fill(group: Path, files: Sequence[tuple[str, int]]) -> None:
    group.mkdir(exist_ok=True)
    for file, value in files:
        (group / file).write_text(str(value))


def _count(file: Path, name: str) -> int:
    with suppress(OSError):
        for line in file.read_text().splitlines():
            key, _, value = line.partition(" ")
            if key == name:
                return int(value)
    return 0
