# SPDX-License-Identifier: Apache-2.0
"""Network namespaces that outlive the process that made them: each is mounted on a file.

In: the path of a file. Out: a namespace mounted there, or none any more. Called by: `pods.py`, in a thread of its own:
a thread enters the new namespace for a moment, and the other threads stay where they are.
"""

import ctypes
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_CLONE_NEWNET = 0x40000000
_MS_BIND = 4096
_MNT_DETACH = 2
_OURS = "/proc/thread-self/ns/net"
_libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def new(path: Path) -> Iterator[None]:
    """Make a namespace, mount it on `path`, and be in it within the `with`."""
    path.touch(mode=0o600)
    with _restored():
        _call(_libc.unshare, _CLONE_NEWNET)
        _call(_libc.mount, _OURS.encode(), os.fsencode(path), None, _MS_BIND, None)
        yield


@contextmanager
def entered(path: Path) -> Iterator[None]:
    """Be in the namespace within the `with`."""
    with handle(path) as inside, _restored():
        _call(_libc.setns, inside, _CLONE_NEWNET)
        yield


@contextmanager
def handle(path: Path | str) -> Iterator[int]:
    """A descriptor of the namespace."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def is_mounted(path: Path) -> bool:
    """Whether the file is a namespace; after a restart of the host it is an empty file."""
    return os.path.ismount(path)


def remove(path: Path) -> None:
    """Unmount the namespace and remove its file. The kernel ends the namespace with its last process, and with it both
    ends of its interface."""
    with suppress(OSError):  # it is not mounted
        _call(_libc.umount2, os.fsencode(path), _MNT_DETACH)
    path.unlink(missing_ok=True)  # also ends the mount in every other mount namespace that has a copy


@contextmanager
def _restored() -> Iterator[None]:
    """Bring this thread back to its namespace at the end."""
    with handle(_OURS) as before:
        try:
            yield
        finally:
            _call(_libc.setns, before, _CLONE_NEWNET)


def _call(function: "ctypes._NamedFuncPointer", *arguments: object) -> None:
    if function(*arguments):
        number = ctypes.get_errno() or errno.EIO
        raise OSError(number, os.strerror(number))
