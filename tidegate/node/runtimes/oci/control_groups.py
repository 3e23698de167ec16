# SPDX-License-Identifier: Apache-2.0
"""The control groups of containers: the OCI runtime makes them, and Tidegate reads, freezes and removes them.

In: the id of a container. Out: its usage, its processes, whether the kernel killed one for its memory. A container has
a group of its own in the unified tree (version 2), or in the tree of each controller (version 1). Called by:
`running.py`, `removal.py`, `creation.py`.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tidegate.node.runtime import PodUsage
from tidegate.node.runtimes.process import limits

_FLAT = limits.OURS


class ControlGroups:
    """`base`: the groups of our containers, below the root of each tree. `unified`: whether the host has version 2
    alone."""

    def __init__(self, root: Path = limits.ROOT) -> None:
        self._root = root
        self._unified = (root / "cgroup.controllers").exists()
        own = limits.own_groups(root)[:1] if self._unified else []
        self._base = own[0].parent.relative_to(root) / _FLAT if own and own[0] != root else Path(_FLAT)

    def path(self, container: str) -> str:
        """The `cgroupsPath` for the runtime."""
        return f"/{self._base / container}"

    @property
    def limits_swap(self) -> bool:
        """Whether the host counts swap, so that it can be limited."""
        if not self._unified:
            return (self._root / "memory" / "memory.memsw.limit_in_bytes").exists()
        return Path("/proc/swaps").exists()

    def usage(self, container: str) -> PodUsage | None:
        """None for a container without a group."""
        if self._unified:
            group = self._group("", container)
            time, memory = _field(group / "cpu.stat", "usage_usec"), _number(group / "memory.current")
            reclaimable = _field(group / "memory.stat", "inactive_file")
            return None if time is None else PodUsage(time / 1e6, max(0, (memory or 0) - (reclaimable or 0)))
        nanoseconds = _number(self._group("cpuacct", container) / "cpuacct.usage")
        group = self._group("memory", container)
        memory = _number(group / "memory.usage_in_bytes")
        reclaimable = _field(group / "memory.stat", "total_inactive_file")
        if nanoseconds is None:
            return None
        return PodUsage(nanoseconds / 1e9, max(0, (memory or 0) - (reclaimable or 0)))

    def was_oom_killed(self, container: str) -> bool:
        """Whether the kernel killed a process of it because of its memory limit."""
        if self._unified:
            return bool(_field(self._group("", container) / "memory.events", "oom_kill"))
        return bool(_field(self._group("memory", container) / "memory.oom_control", "oom_kill"))

    def freeze(self, container: str) -> None:
        """Raises `OSError`."""
        file, frozen, _ = self._freezer(container)
        file.write_text(frozen)

    def thaw(self, container: str) -> None:
        file, _, thawed = self._freezer(container)
        with suppress(OSError):  # the container has ended
            file.write_text(thawed)

    def memory_group(self, container: str) -> Path:
        """The group that counts its memory."""
        return self._group("" if self._unified else "memory", container)

    def processes(self, container: str) -> list[int]:
        """The processes in any of its groups."""
        found: set[int] = set()
        for group in self._groups(container):
            with suppress(OSError):
                found |= {int(line) for line in (group / "cgroup.procs").read_text().split()}
        return sorted(found - {0, os.getpid()})

    def remove(self, container: str) -> bool:
        """Remove what the runtime left. False while a process is in it."""
        for group in self._groups(container):
            with suppress(OSError):
                group.rmdir()
        return not any(group.exists() for group in self._groups(container))

    def _freezer(self, container: str) -> tuple[Path, str, str]:
        """The file, and its values for frozen and thawed."""
        if self._unified:
            return self._group("", container) / "cgroup.freeze", "1", "0"
        return self._group("freezer", container) / "freezer.state", "FROZEN", "THAWED"

    def _group(self, tree: str, container: str) -> Path:
        return self._root / tree / self._base / container

    def _groups(self, container: str) -> Iterator[Path]:
        if self._unified:
            yield self._group("", container)
            return
        for tree in sorted(self._root.iterdir()):
            if not tree.is_symlink() and (group := self._group(tree.name, container)).is_dir():
                yield group


def _number(file: Path) -> int | None:
    with suppress(OSError, ValueError):
        return int(file.read_text())
    return None


def _field(file: Path, name: str) -> int | None:
    with suppress(OSError, ValueError):
        for line in file.read_text().splitlines():
            key, _, value = line.partition(" ")
            if key == name:
                return int(value)
    return None
