# SPDX-License-Identifier: Apache-2.0
"""Limits on CPU and memory, by control groups where this user may make some.

In: a process and its `Limits`. Out: a group that holds it and what it starts, which is told to kill it for memory and
to slow it down for CPU; and what we are held to ourselves (`own`). Both layouts: version 2 (one tree; ours is made
beside the group we run in, which systemd gives to its users) and version 1 (a tree a controller; root). Where neither
can be written, limits are not enforced, and `process` logs that for each instance.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from tidegate.node.runtime import Limits

ROOT = Path("/sys/fs/cgroup")
_PERIOD = 100_000  # microseconds
_NO_LIMIT = 2**60  # bytes; version 1 says so with the largest number it has
OURS = "tidegate"


class LimitGroups(Protocol):
    """Holds instances to their limits. `name` is one path component, the same in every call for an instance."""

    def hold(self, name: str, pid: int, limits: Limits) -> None:
        """Raises `OSError` when the host does not let us."""

    def ran_out(self, name: str) -> bool:
        """Whether the kernel killed something in it for memory."""

    def release(self, name: str) -> None:
        """Nothing runs in it any more."""


class LimitGroupsV2:
    """One group an instance in the unified tree."""

    def __init__(self, parent: Path) -> None:
        self.parent = parent

    def hold(self, name: str, pid: int, limits: Limits) -> None:
        group = self.parent / name
        group.mkdir(exist_ok=True)
        if limits.cpu is not None:
            (group / "cpu.max").write_text(f"{_quota(limits.cpu)} {_PERIOD}")
        if limits.memory is not None:
            (group / "memory.max").write_text(str(limits.memory))
            with suppress(OSError):  # hosts without swap accounting
                (group / "memory.swap.max").write_text("0")
        (group / "cgroup.procs").write_text(str(pid))

    def ran_out(self, name: str) -> bool:
        return _count(self.parent / name / "memory.events", "oom_kill") > 0

    def release(self, name: str) -> None:
        with suppress(OSError):
            (self.parent / name).rmdir()


class LimitGroupsV1:
    """A group an instance in the tree of each controller."""

    def __init__(self, cpu: Path, memory: Path) -> None:
        self._cpu = cpu
        self._memory = memory

    def hold(self, name: str, pid: int, limits: Limits) -> None:
        if limits.cpu is not None:
            files = [("cpu.cfs_period_us", _PERIOD), ("cpu.cfs_quota_us", _quota(limits.cpu))]
            _fill(self._cpu / name, [*files, ("cgroup.procs", pid)])
        if limits.memory is not None:
            _fill(self._memory / name, [("memory.limit_in_bytes", limits.memory), ("cgroup.procs", pid)])

    def ran_out(self, name: str) -> bool:
        return _count(self._memory / name / "memory.oom_control", "oom_kill") > 0

    def release(self, name: str) -> None:
        for tree in (self._cpu, self._memory):
            with suppress(OSError):
                (tree / name).rmdir()


def groups(root: Path = ROOT) -> LimitGroups | None:
    """What this host and user can do; None for nothing."""
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
    """A group that holds only groups: the kernel lets none both hold processes and share out controllers."""
    for base in own_groups(root):
        parent = base / OURS
        with suppress(OSError):
            (base / "cgroup.subtree_control").write_text("+cpu +memory")
            parent.mkdir(exist_ok=True)
            (parent / "cgroup.subtree_control").write_text("+cpu +memory")
            return LimitGroupsV2(parent)
    return None


def own_groups(root: Path) -> list[Path]:
    """Where in a tree of version 2 a group of ours may be made: in the group we run in, or beside it."""
    if not (root / "cgroup.controllers").exists():
        return []
    own = root / Path("/proc/self/cgroup").read_text().rpartition("::/")[2].strip()
    return [base for base in (own, own.parent) if base.is_relative_to(root)]


def own(root: Path = ROOT, membership: Path = Path("/proc/self/cgroup")) -> Limits:
    """What this process is held to with all that it starts: the least that its groups and those above them say."""
    groups = list(_with_those_above(root, membership.read_text()))
    cpu = [cores for group in groups if (cores := _cores(group)) is not None]
    memory = [size for group in groups if (size := _memory(group)) is not None]
    return Limits(min(cpu, default=None), min(memory, default=None))


def _with_those_above(root: Path, membership: str) -> Iterator[Path]:
    for line in membership.splitlines():
        _, controllers, path = line.split(":", 2)
        for tree in [root / name for name in controllers.split(",")] if controllers else [root]:
            group = tree / path.lstrip("/")
            yield from (each for each in (group, *group.parents) if each.is_relative_to(tree))


def _cores(group: Path) -> float | None:
    """Version 2 has quota and period in one file, version 1 in two; "max" and -1 are no limit."""
    for files in (["cpu.max"], ["cpu.cfs_quota_us", "cpu.cfs_period_us"]):
        with suppress(OSError):
            quota, period = " ".join((group / file).read_text() for file in files).split()
            return None if quota in ("max", "-1") else int(quota) / int(period)
    return None


def _memory(group: Path) -> int | None:
    for file in ("memory.max", "memory.limit_in_bytes"):
        with suppress(OSError):
            size = (group / file).read_text().strip()
            return None if size == "max" or int(size) >= _NO_LIMIT else int(size)
    return None


def _quota(cores: float) -> int:
    return max(1000, int(cores * _PERIOD))  # the kernel's least


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
