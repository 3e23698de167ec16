# SPDX-License-Identifier: Apache-2.0
"""A container's log: a file that the app itself writes to, so that it survives the control plane.

In: the app's stdout and stderr, appended by the kernel; a `note` of its size, once a second. Out: `read`, for `kubectl
logs`; `last_lines`, for a status. Each run has a file of its own; the file of the run before is kept. Called by:
`container.py`, `pod_logs.py`.

Bounds: `note` gives all but the last `keep` bytes back to the disk. It punches a hole in front of them, so that offsets
stay and no line is lost or torn; on a file system without holes it empties the file. A reader gets at most the last `2
* keep` bytes, because the app decides how large its file is and where it has holes.

Times: the log has none. The time of a line is the first `note` that saw it, so `timestamps` and `since` are exact to
the second.
"""

import ctypes
import os
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from tidegate.kit.clock import Clock
from tidegate.kit.files import open_regular, write_whole
from tidegate.model.logs import LogOptions
from tidegate.node import log_reader
from tidegate.node.log_reader import MARK

KEEP = 10 * 2**20
"""The bytes of a run's log that are kept."""

_STATUS_LINES = 80
_STATUS_BYTES = 2048
"""The most that a status shows of a log: Kubernetes' bounds of FallbackToLogsOnError."""

_BLOCK = 4096
_PUNCH_HOLE_KEEP_SIZE = 0x01 | 0x02
_libc = ctypes.CDLL(None, use_errno=True)


class ContainerLog:
    """The log of one container in its Pod's folder."""

    def __init__(self, folder: Path, container: str, *, keep: int = KEEP) -> None:
        self.path = folder / f"{container}.log"
        self._previous = folder / f"{container}.previous.log"
        self._times = folder / f"{container}.times"
        self._keep = keep
        self._runs = 0
        self._noted = 0

    def begin(self) -> int:
        """Open a file for a new run; the caller closes it."""
        self._runs += 1
        self._noted = 0
        if os.path.lexists(self.path):
            for path in (self.path, self._times):
                with suppress(FileNotFoundError):
                    path.replace(self._before(path))
        return os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

    def note(self, now: datetime) -> None:
        """Remember its size now, and keep it within its bound."""
        try:
            stat = self.path.lstat()
        except FileNotFoundError:
            return
        if stat.st_blocks * 512 > self._keep * 5 // 4:  # first, because it makes room on a full disk
            self._trim(stat.st_size - self._keep)
        if stat.st_size != self._noted:
            with os.fdopen(open_regular(self._times, os.O_WRONLY | os.O_APPEND | os.O_CREAT), "ab") as times:
                times.write(MARK.pack(now.timestamp(), stat.st_size))
                written = times.tell()
            self._noted = stat.st_size
            if written > 2 * log_reader.MOST_MARKS * MARK.size:
                write_whole(self._times, self._times.read_bytes()[-log_reader.MOST_MARKS * MARK.size :])

    def _trim(self, end: int) -> None:
        """Give the bytes before `end` back to the disk."""
        with os.fdopen(open_regular(self.path, os.O_RDWR), "r+b") as file:
            length = ctypes.c_int64(end // _BLOCK * _BLOCK)
            if _libc.fallocate(file.fileno(), _PUNCH_HOLE_KEEP_SIZE, ctypes.c_int64(0), length) != 0:
                file.truncate(0)

    def last_lines(self) -> str:
        """The last lines of the current run, within the bounds of a status."""
        try:
            with os.fdopen(open_regular(self.path), "rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - _STATUS_BYTES))
                text = file.read(_STATUS_BYTES).decode(errors="ignore")
        except FileNotFoundError:
            return ""
        return "\n".join(text.strip().splitlines()[-_STATUS_LINES:])

    async def read(self, options: LogOptions, *, clock: Clock, live: Callable[[], bool]) -> AsyncIterator[bytes]:
        """The requested part. Following ends with the run, when `live` returns False. Raises `FileNotFoundError` if
        there was no such run."""
        path = self._before(self.path) if options.previous else self.path
        marks = log_reader.read_marks(self._before(self._times) if options.previous else self._times)
        run = self._runs

        def continues() -> bool:
            return options.follow and not options.previous and run == self._runs and live()

        left = options.limit_bytes if options.limit_bytes is not None else 2**63
        with os.fdopen(open_regular(path), "rb") as file:
            start = log_reader.start(file, options, marks, 2 * self._keep)
            chunks = log_reader.chunks(file, start, continues, clock, 2 * self._keep)
            if options.timestamps:
                chunks = log_reader.stamped(chunks, start, marks, clock)
            async for chunk in chunks:
                yield chunk[:left]
                left -= len(chunk)
                if left <= 0:
                    return

    def _before(self, path: Path) -> Path:
        return self._previous if path == self.path else self._previous.with_suffix(".times")
