# SPDX-License-Identifier: Apache-2.0
"""Moves the private memory of frozen processes to swap.

In: a control group, or processes. Out: their private memory, paged out. Called by: `freezer.py`.

| host | how |
| --- | --- |
| without swap or zram | not at all |
| a control group of version 2 with the controller memory, Linux 6.8 | `memory.reclaim` |
| else Linux 5.10, root (or CAP_SYS_NICE and the right to trace) | `process_madvise(MADV_PAGEOUT)` |

Pages of files stay: the kernel drops them when it needs memory, and a thawed process needs them first.
"""

import ctypes
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from tidegate.kit.processes import Process

GoOn = Callable[[], bool]
"""Called between two chunks; False once the process is thawed and needs its memory."""

_PROCESS_MADVISE = 440  # the same number on every architecture
_MADV_PAGEOUT = 21
_CHUNK = 16 * 2**20  # bytes between two calls of `GoOn`
_SWAPS = Path("/proc/swaps")

_libc = ctypes.CDLL(None, use_errno=True)


class _Range(ctypes.Structure):
    """struct iovec"""

    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


def has_swap() -> bool:
    return len(_SWAPS.read_text().splitlines()) > 1  # the first line is a heading


def from_group(group: Path, go_on: GoOn) -> bool:
    """Reclaim all memory of a group of version 2, also if its limit allows no swap while it runs. False if the host
    cannot."""
    most_swap = group / "memory.swap.max"
    try:
        before = most_swap.read_text()
        most_swap.write_text("max")
        try:
            while go_on():
                (group / "memory.reclaim").write_text(f"{_CHUNK} swappiness=200")
        finally:
            most_swap.write_text(before)
    except BlockingIOError:  # no more can be reclaimed
        return True
    except OSError:
        return False
    return True


def from_process(process: Process, go_on: GoOn) -> None:
    """Page out the private memory of a process."""
    if not process.alive:
        return
    with suppress(OSError):  # it has ended, it may not be traced, or the kernel lacks the call
        handle = os.pidfd_open(process.pid)
        try:
            for start, length in private_memory(Path(f"/proc/{process.pid}/maps").read_text()):
                if not go_on():
                    return
                _advise(handle, start, length)
        finally:
            os.close(handle)


def private_memory(maps: str) -> Iterator[tuple[int, int]]:
    """Start and length of the writable private memory of a process, in chunks, from its /proc/PID/maps."""
    for line in maps.splitlines():
        addresses, permissions, *_ = line.split(maxsplit=2)
        if permissions.startswith("rw") and permissions.endswith("p"):
            start, end = (int(text, 16) for text in addresses.split("-"))
            for chunk in range(start, end, _CHUNK):
                yield chunk, min(_CHUNK, end - chunk)


def _advise(handle: int, start: int, length: int) -> None:
    given = _Range(start, length)
    done = _libc.syscall(_PROCESS_MADVISE, handle, ctypes.byref(given), 1, _MADV_PAGEOUT, 0)
    if done < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
