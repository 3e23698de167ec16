# SPDX-License-Identifier: Apache-2.0
"""Mounts of this process's mount namespace, by the system calls themselves (a program for each would take 2 ms).

In: a place in the file system. Out: something mounted there, or nothing any more; `OSError` if the kernel refuses.
Python has no function for these system calls. Called by: the node, for volumes and for the file systems of
containers.
"""

import ctypes
import os
import re
from collections.abc import Sequence
from pathlib import Path

READ_ONLY, NO_SUID, NO_DEVICES, NO_EXEC = 1, 2, 4, 8  # MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC
_BIND, _RECURSIVE, _PRIVATE = 4096, 16384, 1 << 18
_DETACH, _NO_FOLLOW = 2, 8
_ESCAPED = re.compile(r"\\([0-7]{3})")

_libc = ctypes.CDLL(None, use_errno=True)


def mount(kind: str, target: Path, options: str = "", flags: int = 0) -> None:
    """Mount a new file system. `kind`: e.g. tmpfs, overlay; `options`: as for mount(8) with -o."""
    _mount(kind, target, kind, flags, options)


def bind(source: Path, target: Path, *, recursive: bool = False) -> None:
    """Let `target`, a folder or a file, show `source`."""
    _mount(str(source), target, "", _BIND | (_RECURSIVE if recursive else 0), "")


def make_private(target: Path) -> None:
    """Keep later mounts below `target` out of other mount namespaces, and theirs out of ours."""
    _mount("", target, "", _PRIVATE, "")


def unmount(target: Path) -> None:
    """Remove the topmost mount of a place at once; programs that use it keep it until they end."""
    if _libc.umount2(os.fsencode(target), _DETACH | _NO_FOLLOW):
        raise _failure(target)


def unmount_below(folder: Path) -> None:
    """Remove every mount of a folder and of all below it, the innermost first."""
    for place in reversed(below(folder)):
        unmount(place)


def below(folder: Path) -> Sequence[Path]:
    """The mounts of a folder and of all below it, in the order in which they were made. A place with two mounts is
    listed twice."""
    inside = f"{folder.resolve()}/"
    with Path("/proc/self/mountinfo").open(encoding="utf-8", errors="surrogateescape") as table:
        places = [_ESCAPED.sub(lambda code: chr(int(code[1], 8)), line.split(" ", 5)[4]) for line in table]
    return [Path(place) for place in places if f"{place}/".startswith(inside)]


def _mount(source: str, target: Path, kind: str, flags: int, options: str) -> None:
    given = (os.fsencode(source), os.fsencode(target), os.fsencode(kind), ctypes.c_ulong(flags), os.fsencode(options))
    if _libc.mount(*given):
        raise _failure(target)


def _failure(target: Path) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number), str(target))
