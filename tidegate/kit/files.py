# SPDX-License-Identifier: Apache-2.0
"""Files with mode 0600: files replaced atomically, and append-only logs."""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO


def write_whole(path: Path, content: bytes, *, durable: bool = False) -> None:
    """Write the file (mode 0600) atomically: a reader sees the old content or the new one. `durable`: a reader after a
    power failure, too. Concurrent calls for one path in a process are not allowed."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)  # of a process that had this pid before
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        fresh.replace(path)
    except BaseException:
        fresh.unlink()
        raise
    if durable:
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)  # the new name
        finally:
            os.close(folder)


def open_regular(path: Path, flags: int = os.O_RDONLY) -> int:
    """Open a file (mode 0600 where it is new) where somebody else may have put something in its place: no link is
    followed, and no FIFO waited for; anything but a file counts as missing (`FileNotFoundError`)."""
    try:
        handle = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):  # a link; a FIFO that nobody reads
            raise FileNotFoundError(errno.ENOENT, "not a regular file", str(path)) from error
        raise
    if stat.S_ISREG(os.fstat(handle).st_mode):
        return handle
    os.close(handle)
    raise FileNotFoundError(errno.ENOENT, "not a regular file", str(path))


def open_log(path: Path) -> BinaryIO:
    """The file (mode 0600 where it is new), to write to its end. A symbolic link is an error: it may lead anywhere."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600), "ab")


def first_unsearchable_folder(path: Path) -> Path | None:
    """The topmost folder on the path, after following links, that other users cannot search; None if they can all."""
    whole = Path(os.path.realpath(path))
    for folder in reversed(whole.parents):
        try:
            if not folder.stat().st_mode & stat.S_IXOTH:
                return folder
        except OSError:
            return None
    return None
