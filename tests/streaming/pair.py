# SPDX-License-Identifier: Apache-2.0
"""Two ends of a connection in memory, with a bound like a socket's."""

import asyncio

_MOST = 64 * 1024


class _Way:
    """The bytes on their way in one direction."""

    def __init__(self) -> None:
        self.bytes = b""
        self.is_closed = False
        self.changed = asyncio.Condition()

    async def wake(self) -> None:
        async with self.changed:
            self.changed.notify_all()


class Pipe:
    """One end."""

    def __init__(self, received: _Way, sent: _Way) -> None:
        self._received = received
        self._sent = sent

    async def read(self) -> bytes:
        way = self._received
        async with way.changed:
            await way.changed.wait_for(lambda: way.bytes or way.is_closed)
            data, way.bytes = way.bytes, b""
            way.changed.notify_all()
        return data

    def write(self, data: bytes) -> None:
        self._sent.bytes += data
        asyncio.get_running_loop().create_task(self._sent.wake())

    async def drain(self) -> None:
        way = self._sent
        async with way.changed:
            await way.changed.wait_for(lambda: len(way.bytes) < _MOST or way.is_closed)
        if way.is_closed:
            raise ConnectionResetError

    def close(self) -> None:
        for way in (self._sent, self._received):
            way.is_closed = True
            asyncio.get_running_loop().create_task(way.wake())


def pair() -> tuple[Pipe, Pipe]:
    one, other = _Way(), _Way()
    return Pipe(one, other), Pipe(other, one)
