# SPDX-License-Identifier: Apache-2.0
"""Opens paths inside a folder whose contents somebody else decides: no link leads out of it.

In: an open folder, and a path. Out: an open file or folder inside; `OSError` if there is none. The kernel resolves the
path (openat2, Linux 5.6), so that nothing can change between a check and its use. Python has no function for this
system call. Called by: the container runtime, for files of images and for `subPath` of volumes.
"""

import ctypes
import os
import stat
from contextlib import suppress

AS_ROOT, BENEATH = 0x10, 0x08
"""How links are resolved: as if the folder were `/` (RESOLVE_IN_ROOT); not at all if they lead out (RESOLVE_BENEATH:
EXDEV)."""

_NO_MAGIC_LINKS = 0x02
_OPENAT2 = 437  # the same number on every architecture
_PATH = os.O_PATH | os.O_CLOEXEC
_libc = ctypes.CDLL(None, use_errno=True)


class _How(ctypes.Structure):
    """struct open_how"""

    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def open_inside(folder: int, path: str, flags: int = _PATH, links: int = AS_ROOT) -> int:
    """`folder`: an open folder. `path`: relative to it. The caller closes the result."""
    how = _How(flags | os.O_CLOEXEC, 0, links | _NO_MAGIC_LINKS)
    name = os.fsencode(path.lstrip("/") or ".")
    handle = int(_libc.syscall(_OPENAT2, folder, name, ctypes.byref(how), ctypes.sizeof(how)))
    if handle < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)
    return handle


def read_inside(folder: int, path: str, most: int) -> bytes:
    """The first bytes of a regular file; nothing if there is no such file."""
    try:
        handle = open_inside(folder, path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        return b""
    with os.fdopen(handle, "rb") as file:
        return file.read(most) if stat.S_ISREG(os.fstat(handle).st_mode) else b""


def make_folder(folder: int, path: str, mode: int = 0o755, links: int = AS_ROOT) -> int:
    """Open a folder inside, made if it is missing, with all above it. The caller closes the result."""
    parts = [part for part in path.split("/") if part]
    for end in range(1, len(parts)):
        os.close(_made(folder, parts[:end], mode, links))
    return _made(folder, parts, mode, links)


def _made(folder: int, parts: list[str], mode: int, links: int) -> int:
    path = "/".join(parts)
    try:
        return open_inside(folder, path, _PATH | os.O_DIRECTORY, links)
    except FileNotFoundError:
        above = open_inside(folder, "/".join(parts[:-1]), _PATH | os.O_DIRECTORY, links)
        try:
            with suppress(FileExistsError):  # by somebody else, in this moment
                os.mkdir(parts[-1], mode, dir_fd=above)
                os.chmod(parts[-1], mode, dir_fd=above)  # whatever the umask is
        finally:
            os.close(above)
    return open_inside(folder, path, _PATH | os.O_DIRECTORY, links)
