# SPDX-License-Identifier: Apache-2.0
"""The CPU and memory that Tidegate and all its instances may use, if it runs in a control group itself.

In: the control groups of this process. Out: `Limits`. Called by: `machine.py`, at the start.
"""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tidegate.node.runtime import Limits

ROOT = Path("/sys/fs/cgroup")
_NO_LIMIT = 2**60  # bytes; version 1 has its largest number for "no limit"


def own_limits(root: Path = ROOT, membership: Path = Path("/proc/self/cgroup")) -> Limits:
    """The limits of this process and all that it starts: the lowest of its groups and the groups above them."""
    groups = list(_with_parents(root, membership.read_text()))
    cpu = [cores for group in groups if (cores := _cores(group)) is not None]
    memory = [size for group in groups if (size := _memory(group)) is not None]
    return Limits(min(cpu, default=None), min(memory, default=None))


def _with_parents(root: Path, membership: str) -> Iterator[Path]:
    for line in membership.splitlines():
        _, controllers, path = line.split(":", 2)
        for tree in [root / name for name in controllers.split(",")] if controllers else [root]:
            group = tree / path.lstrip("/")
            yield from (each for each in (group, *group.parents) if each.is_relative_to(tree))


def _cores(group: Path) -> float | None:
    """Version 2 has quota and period in one file, version 1 in two; "max" and -1 mean no limit."""
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
