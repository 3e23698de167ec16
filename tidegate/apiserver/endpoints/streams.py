# SPDX-License-Identifier: Apache-2.0
"""Streamed answers (watches, followed logs): an ASGI response that sends chunks until its source ends or the client
disconnects, and a limit on their number."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

from starlette.types import Receive, Scope, Send

from tidegate.apiserver.endpoints import responses
from tidegate.model import errors


class Streams:
    """Counts the streams of one server. `close` ends them all."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._open = 0
        self.closing = asyncio.Event()

    def require_room(self) -> None:
        """Raise `TooManyRequests` if the limit is reached."""
        if self._open >= self._limit:
            raise errors.TooManyRequests(
                f"this server streams to {self._limit} clients at once, try again later",
                details={"retryAfterSeconds": 1},
            )

    @contextmanager
    def counted(self) -> Iterator[None]:
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1

    def close(self) -> None:
        self.closing.set()


class StreamResponse:
    """The ASGI response of one stream. It begins with the first chunk; an `ApiError` before that becomes a Status."""

    def __init__(self, streams: Streams, chunks: AsyncIterator[bytes], media_type: str) -> None:
        streams.require_room()
        self._streams = streams
        self._chunks = chunks
        self._start = {
            "type": "http.response.start",
            "status": 200,
            "headers": [(b"content-type", media_type.encode())],
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._streams.counted():
            sending = asyncio.create_task(self._send(scope, receive, send), name="stream")
            ends = [
                asyncio.create_task(_disconnected(receive), name="stream client"),
                asyncio.create_task(self._streams.closing.wait(), name="stream server"),
            ]
            try:
                await asyncio.wait([sending, *ends], return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (sending, *ends):
                    task.cancel()
                await asyncio.gather(sending, *ends, return_exceptions=True)
        if not sending.cancelled():
            sending.result()

    async def _send(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            first = await anext(self._chunks, b"")
        except errors.ApiError as error:
            await responses.error(error)(scope, receive, send)
            return
        await send(self._start)
        await send({"type": "http.response.body", "body": first, "more_body": True})
        async for chunk in self._chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
