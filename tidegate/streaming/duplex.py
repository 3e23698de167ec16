# SPDX-License-Identifier: Apache-2.0
"""A two-way connection of bytes, below WebSocket and SPDY.

In: a socket's reader and writer. Out: a `Duplex`. Called by: `websocket.py` and `spdy.py`, which are built on one; a
WebSocket is one itself for a tunnel (`websocket.Tunnel`).
"""

import asyncio
from contextlib import suppress
from typing import Protocol

_PIECE = 64 * 1024
_MOST_ANSWERS = 256


class Duplex(Protocol):
    """`write` queues bytes; the caller then awaits `drain`, which returns once the peer has taken most of them."""

    async def read(self) -> bytes:
        """The next bytes; b"" once the peer has closed the connection."""

    def write(self, data: bytes) -> None: ...

    async def drain(self) -> None:
        """Raises `ConnectionError` if the connection is lost."""


class Answers:
    """The answers that reading from a peer causes, e.g. to its pings. A peer that takes no answers is not read any
    further. Waiting for the peer after each answer would be a deadlock of two sides that both send much."""

    def __init__(self) -> None:
        self._count = 0

    def add(self) -> None:
        self._count += 1

    async def drained(self, duplex: Duplex) -> None:
        """Returns at once, until there are `_MOST_ANSWERS`. Raises `ConnectionError`."""
        if self._count >= _MOST_ANSWERS:
            self._count = 0
            await duplex.drain()


class SocketDuplex:
    """A connection of asyncio's streams. `unread`: bytes that were read from it before."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, unread: bytes = b"") -> None:
        self._reader = reader
        self._writer = writer
        self._unread = unread

    async def read(self) -> bytes:
        if self._unread:
            unread, self._unread = self._unread, b""
            return unread
        try:
            return await self._reader.read(_PIECE)
        except OSError:  # the connection is lost
            return b""

    def write(self, data: bytes) -> None:
        self._writer.write(data)

    async def drain(self) -> None:
        await self._writer.drain()

    async def lost(self) -> None:
        """Returns once the connection is closed or broken, also while nothing is read from it. The kernel reports that
        only after a write."""
        with suppress(OSError):
            await self._writer.wait_closed()

    async def close(self, linger_seconds: float) -> None:
        """Close it once the peer has taken all bytes. The peer has `linger_seconds` to close it first: a close with
        unread bytes would take back bytes that the peer has not read."""
        if self._writer.is_closing():
            return
        self._writer.transport.set_write_buffer_limits(high=1, low=0)  # with 0, TLS waits for ever
        with suppress(OSError, TimeoutError):
            await self._writer.drain()
            async with asyncio.timeout(linger_seconds):
                while await self.read():
                    pass
        self._writer.close()
