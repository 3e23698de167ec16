# SPDX-License-Identifier: Apache-2.0
"""A container's log: a file that the app itself writes to, so that it goes on when the control plane dies.

In: the app's stdout and stderr, appended by the kernel; now and then a `note` of how far it is. Out: `read`, as
`kubectl logs` asks; `last_words`, for a status. Each run has a file of its own; that of the run before is kept.

Bounded: `note` gives all but the last `keep` bytes back to the disk by punching a hole in front of them (offsets stay,
no line is lost or torn); a file system that cannot do that has the file emptied instead. Who reads gets at most the
last `2 * keep` bytes: how large a file is and where it has holes is the app's choice.

Times: the log has none, so that a line's time is when `note` first saw it: late by up to the time between two notes, a
second here. `timestamps` and `since` are that exact.
"""

import asyncio
import ctypes
import os
import struct
from bisect import bisect_left, bisect_right
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from tidegate.kit.clock import Clock
from tidegate.kit.files import open_regular, write_whole
from tidegate.model.logs import LogOptions

KEEP = 10 * 2**20
"""Bytes of a run's log that are kept."""

_WORDS_LINES = 80
_WORDS_BYTES = 2048
"""What a status may carry of a log: Kubernetes' bounds of FallbackToLogsOnError."""

_CHUNK = 64 * 1024
_LONGEST_LINE = 1024 * 1024  # bytes that wait for the end of their line, to be given its time
_BLOCK = 4096
_FOLLOW_EVERY = 0.1  # seconds
_MARK = struct.Struct("<dQ")  # wall seconds, size of the log then
_MOST_MARKS = 100_000
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
        """A file for a new run, to hand to it; the caller closes it."""
        self._runs += 1
        self._noted = 0
        if os.path.lexists(self.path):
            for path in (self.path, self._times):
                with suppress(FileNotFoundError):
                    path.replace(self._before(path))
        return os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

    def note(self, now: datetime) -> None:
        """Remember how far it is now, and keep it within its bound."""
        try:
            stat = self.path.lstat()
        except FileNotFoundError:
            return
        if stat.st_blocks * 512 > self._keep * 5 // 4:  # first, as a disk that is full gets room by it
            self._trim(stat.st_size - self._keep)
        if stat.st_size != self._noted:
            with os.fdopen(open_regular(self._times, os.O_WRONLY | os.O_APPEND | os.O_CREAT), "ab") as times:
                times.write(_MARK.pack(now.timestamp(), stat.st_size))
                written = times.tell()
            self._noted = stat.st_size
            if written > 2 * _MOST_MARKS * _MARK.size:
                write_whole(self._times, self._times.read_bytes()[-_MOST_MARKS * _MARK.size :])

    def _trim(self, end: int) -> None:
        """Give back what is before `end`."""
        with os.fdopen(open_regular(self.path, os.O_RDWR), "r+b") as file:
            length = ctypes.c_int64(end // _BLOCK * _BLOCK)
            if _libc.fallocate(file.fileno(), _PUNCH_HOLE_KEEP_SIZE, ctypes.c_int64(0), length) != 0:
                file.truncate(0)

    def last_words(self) -> str:
        """The last lines of the present run, as far as a status may carry them."""
        try:
            with os.fdopen(open_regular(self.path), "rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - _WORDS_BYTES))
                text = file.read(_WORDS_BYTES).decode(errors="ignore")
        except FileNotFoundError:
            return ""
        return "\n".join(text.strip().splitlines()[-_WORDS_LINES:])

    async def read(self, options: LogOptions, *, clock: Clock, live: Callable[[], bool]) -> AsyncIterator[bytes]:
        """What was asked for; to follow ends with the run, which is over when `live` says so. Raises
        `FileNotFoundError` where there was no such run."""
        path = self._before(self.path) if options.previous else self.path
        marks = _read_marks(self._before(self._times) if options.previous else self._times)
        run = self._runs

        def goes_on() -> bool:
            return options.follow and not options.previous and run == self._runs and live()

        left = options.limit_bytes if options.limit_bytes is not None else 2**63
        with os.fdopen(open_regular(path), "rb") as file:
            start = _start(file, options, marks, 2 * self._keep)
            chunks = _chunks(file, start, goes_on, clock, 2 * self._keep)
            if options.timestamps:
                chunks = _stamped(chunks, start, marks, clock)
            async for chunk in chunks:
                yield chunk[:left]
                left -= len(chunk)
                if left <= 0:
                    return

    def _before(self, path: Path) -> Path:
        return self._previous if path == self.path else self._previous.with_suffix(".times")


async def _chunks(
    file: BinaryIO, start: int, goes_on: Callable[[], bool], clock: Clock, most: int
) -> AsyncIterator[bytes]:
    position = start
    while True:
        last = not goes_on()  # asked before reading: what was written until then is still read
        end = os.fstat(file.fileno()).st_size
        position = max(position, end - most) if position <= end else 0  # else it was emptied
        file.seek(position)
        while position < end and (chunk := file.read(min(_CHUNK, end - position))):
            position += len(chunk)
            yield chunk
            await asyncio.sleep(0)
        if last:
            return
        await clock.sleep(_FOLLOW_EVERY)


def _start(file: BinaryIO, options: LogOptions, marks: list[tuple[float, int]], most: int) -> int:
    """Where to begin: at the start of a line, or at the end."""
    start = _first_line(file, most)
    if options.since is not None:
        before = bisect_right([time for time, _ in marks], options.since.timestamp()) - 1
        start = max(start, marks[before][1] if before >= 0 else 0)
    if options.tail_lines is not None:
        start = max(start, _tail(file, start, options.tail_lines))
    return start


def _first_line(file: BinaryIO, most: int) -> int:
    """The start of the first line that is still there and among the last `most` bytes."""
    end = file.seek(0, os.SEEK_END)
    try:
        start = max(os.lseek(file.fileno(), 0, os.SEEK_DATA), end - most)
    except OSError:  # empty
        return max(0, end - most)
    if start == 0:
        return 0
    file.seek(start)
    rest = file.readline(most)
    return start + len(rest) if rest.endswith(b"\n") else start


def _tail(file: BinaryIO, start: int, lines: int) -> int:
    """The start of the last `lines` lines after `start`."""
    end = file.seek(0, os.SEEK_END)
    position, wanted = end, lines
    while position > start:
        size = min(_CHUNK, position - start)
        position -= size
        file.seek(position)
        chunk = file.read(size)
        cut = len(chunk) - 1 if position + size == end and chunk.endswith(b"\n") else len(chunk)  # its own last end
        while (found := chunk.rfind(b"\n", 0, cut)) >= 0:
            wanted -= 1
            if wanted <= 0:
                return position + found + 1 if lines else end
            cut = found
    return start if lines else end


async def _stamped(
    chunks: AsyncIterator[bytes], start: int, marks: list[tuple[float, int]], clock: Clock
) -> AsyncIterator[bytes]:
    """The same with a time before each line: of the first mark at or behind its end; the present time where none is."""
    sizes = [size for _, size in marks]
    end, rest = start, b""
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        stamped = bytearray()
        for line in lines:
            end += len(line) + 1
            place = bisect_left(sizes, end)
            time = datetime.fromtimestamp(marks[place][0], UTC) if place < len(marks) else clock.wall()
            stamped += b"%s %s\n" % (_rfc3339(time), line)
        if len(rest) > _LONGEST_LINE:
            end += len(rest)
            stamped += b"%s %s" % (_rfc3339(clock.wall()), rest)
            rest = b""
        if stamped:
            yield bytes(stamped)
    if rest:
        yield b"%s %s" % (_rfc3339(clock.wall()), rest)


def _rfc3339(time: datetime) -> bytes:
    return time.strftime("%Y-%m-%dT%H:%M:%S.%f000Z").encode()


def _read_marks(path: Path) -> list[tuple[float, int]]:
    try:
        with os.fdopen(open_regular(path), "rb") as file:
            data = file.read()[-_MOST_MARKS * _MARK.size :]
    except FileNotFoundError:
        return []
    whole = len(data) // _MARK.size * _MARK.size
    return list(_MARK.iter_unpack(data[:whole]))
