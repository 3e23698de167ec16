# SPDX-License-Identifier: Apache-2.0
"""Bytes on their way from a connection to their reader, with a bound.

In: bytes, as they arrive. Out: the same to one reader. `put` waits while the reader is too slow, so a connection that
feeds a queue is not read any further: TCP then slows the sender down. Called by: `spdy.py` and the WebSocket channels.
"""

import asyncio
from collections import deque

MOST_BYTES = 256 * 1024
"""The bytes that wait for a reader. More than a frame of any client, so that small ones never wait."""


class ByteQueue:
    """`size`: the bytes that wait."""

    def __init__(self) -> None:
        self.size = 0
        self._pieces: deque[bytes] = deque()
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._ended = False

    async def put(self, data: bytes) -> None:
        """Add bytes, once there is room. Bytes after the end are dropped."""
        await self._room.wait()
        if data and not self._ended:
            self._pieces.append(data)
            self.size += len(data)
            if self.size >= MOST_BYTES:
                self._room.clear()
            self._changed.set()

    def end(self) -> None:
        """No more bytes come."""
        self._ended = True
        self._changed.set()
        self._room.set()

    def discard(self) -> None:
        """The reader wants no more: drop all bytes, now and later."""
        self._pieces.clear()
        self.size = 0
        self.end()

    async def get(self) -> bytes:
        """The next bytes; b"" at the end."""
        while not self._pieces:
            if self._ended:
                return b""
            self._changed.clear()
            await self._changed.wait()
        data = self._pieces.popleft()
        self.size -= len(data)
        if self.size < MOST_BYTES:
            self._room.set()
        return data
