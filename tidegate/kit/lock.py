# SPDX-License-Identifier: Apache-2.0
"""A file that one process at a time locks, with the pid of that process.

In: a path. Out: a lock (flock) for as long as the process lives, however it ends; or `Held`, with the holder. Called
by: the control plane for its state folder, and the keeper that starts it again.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tidegate.kit.processes import Process

_LONGEST = 200  # bytes of what a holder writes


class Held(Exception):
    """Another process holds the lock."""

    def __init__(self, path: Path, process: Process | None) -> None:
        super().__init__(f"{path} is held by {'another process' if process is None else f'process {process.pid}'}")
        self.process = process
        """None if it has not written its pid yet."""


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold the lock, in this process alone. Raises `Held`."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        _take(file, path)
        with suppress(OSError):  # a full disk: the lock holds, without a pid
            text = json.dumps(Process.of(os.getpid())).encode()
            os.pwrite(file, text.ljust(_LONGEST), 0)  # in place, which takes no room once the file has its block
        yield
    finally:
        os.close(file)


def holder(path: Path) -> Process | None:
    """The process that holds the lock; None if none does, or if it has not written its pid yet."""
    try:
        with held_for_a_look(path):
            return None
    except Held as held:
        return held.process
    except FileNotFoundError:
        return None


@contextmanager
def held_for_a_look(path: Path) -> Iterator[None]:
    """Hold the lock for a moment, and shared, so that others who look find the same."""
    file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        _take(file, path, shared=True)
        yield
    finally:
        os.close(file)


def _take(file: int, path: Path, *, shared: bool = False) -> None:
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise Held(path, _read(file)) from error


def _read(file: int) -> Process | None:
    try:
        pid, started = json.loads(os.pread(file, _LONGEST, 0))
    except (ValueError, TypeError):
        return None
    found = Process(pid, started)
    return found if found.alive else None
