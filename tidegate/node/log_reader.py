# SPDX-License-Identifier: Apache-2.0
"""Reading a log file: its requested part, with times if wanted.

In: an open log, the options of `kubectl logs`, the marks of its notes. Out: chunks of bytes. Called by: `logs.py`.
"""

import asyncio
import os
import struct
from bisect import bisect_left, bisect_right
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from tidegate.kit.clock import Clock
from tidegate.kit.files import open_regular
from tidegate.model.logs import LogOptions

MARK = struct.Struct("<dQ")
"""A note: wall seconds, and the size of the log at that time."""

MOST_MARKS = 100_000
_CHUNK = 64 * 1024
_LONGEST_LINE = 1024 * 1024  # bytes that wait for the end of their line, which has its time
_FOLLOW_EVERY = 0.1  # seconds


async def chunks(
    file: BinaryIO, start: int, continues: Callable[[], bool], clock: Clock, most: int
) -> AsyncIterator[bytes]:
    """The log from `start` on. Following ends when `continues` returns False. `most`: the bytes before the end of the
    file that are read, at most."""
    position = start
    while True:
        last = not continues()  # called before reading, so that all that was written until then is read
        end = os.fstat(file.fileno()).st_size
        position = max(position, end - most) if position <= end else 0  # else the file was emptied
        file.seek(position)
        while position < end and (chunk := file.read(min(_CHUNK, end - position))):
            position += len(chunk)
            yield chunk
            await asyncio.sleep(0)
        if last:
            return
        await clock.sleep(_FOLLOW_EVERY)


def start(file: BinaryIO, options: LogOptions, marks: list[tuple[float, int]], most: int) -> int:
    """The offset at which the requested part begins: the start of a line, or the end."""
    begin = _first_line(file, most)
    if options.since is not None:
        before = bisect_right([time for time, _ in marks], options.since.timestamp()) - 1
        begin = max(begin, marks[before][1] if before >= 0 else 0)
    if options.tail_lines is not None:
        begin = max(begin, _tail(file, begin, options.tail_lines))
    return begin


def _first_line(file: BinaryIO, most: int) -> int:
    """The start of the first line that is not removed and is in the last `most` bytes."""
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
        cut = len(chunk) - 1 if position + size == end and chunk.endswith(b"\n") else len(chunk)
        while (found := chunk.rfind(b"\n", 0, cut)) >= 0:
            wanted -= 1
            if wanted <= 0:
                return position + found + 1 if lines else end
            cut = found
    return start if lines else end


async def stamped(
    chunks: AsyncIterator[bytes], start: int, marks: list[tuple[float, int]], clock: Clock
) -> AsyncIterator[bytes]:
    """The same with a time before each line: the time of the first mark at or behind its end; else the current time."""
    sizes = [size for _, size in marks]
    end, rest = start, b""
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        text = bytearray()
        for line in lines:
            end += len(line) + 1
            place = bisect_left(sizes, end)
            time = datetime.fromtimestamp(marks[place][0], UTC) if place < len(marks) else clock.wall()
            text += b"%s %s\n" % (_rfc3339(time), line)
        if len(rest) > _LONGEST_LINE:
            end += len(rest)
            text += b"%s %s" % (_rfc3339(clock.wall()), rest)
            rest = b""
        if text:
            yield bytes(text)
    if rest:
        yield b"%s %s" % (_rfc3339(clock.wall()), rest)


def _rfc3339(time: datetime) -> bytes:
    return time.strftime("%Y-%m-%dT%H:%M:%S.%f000Z").encode()


def read_marks(path: Path) -> list[tuple[float, int]]:
    """The sizes of a log at the times of its notes."""
    try:
        with os.fdopen(open_regular(path), "rb") as file:
            data = file.read()[-MOST_MARKS * MARK.size :]
    except FileNotFoundError:
        return []
    whole = len(data) // MARK.size * MARK.size
    return list(MARK.iter_unpack(data[:whole]))
