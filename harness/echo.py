# SPDX-License-Identifier: Apache-2.0
"""An instance that answers with the request that it got: HTTP/1.1, one JSON object. The path says how it answers:

/                the request: method, target, headers (a list of pairs), body, and the instance's port
/late/SECONDS    the request, after this time
/drip/SECONDS    the headers at once, then a byte each time this time has passed
/events          three server-sent events, one for each call of `send_next`
/trailers        a chunked body with a trailer
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import h11


class Echo:
    """One instance on its own port."""

    def __init__(self) -> None:
        self.port = 0
        self.seen: list[dict[str, Any]] = []
        self._turns = asyncio.Semaphore(0)

    def send_next(self) -> None:
        self._turns.release()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, h11.RemoteProtocolError), contextlib.closing(writer):
            connection = h11.Connection(h11.SERVER)
            while await self._exchange(connection, reader, writer):
                connection.start_next_cycle()

    async def _exchange(
        self, connection: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        request, body = None, b""
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                if connection.they_are_waiting_for_100_continue:
                    writer.write(connection.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")
                connection.receive_data(await reader.read(1 << 16))
            elif isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                break
            else:
                return False
        assert request is not None
        asked = {
            "method": request.method.decode(),
            "target": request.target.decode(),
            "headers": [(name.decode(), value.decode()) for name, value in request.headers],
            "body": body.decode(),
            "port": self.port,
        }
        self.seen.append(asked)
        async for part in self._answer(asked):
            writer.write(connection.send(part) or b"")
            await writer.drain()
        return connection.our_state is h11.DONE

    async def _answer(self, asked: dict[str, Any]) -> AsyncIterator[h11.Event]:
        _, what, argument = [*asked["target"].split("/"), ""][:3]
        whole = json.dumps(asked).encode()
        if what == "drip":
            yield h11.Response(status_code=200, headers=[("transfer-encoding", "chunked")])
            for _ in range(1000):
                yield h11.Data(b".")
                await asyncio.sleep(float(argument))
        elif what == "events":
            yield h11.Response(status_code=200, headers=[("content-type", "text/event-stream")])
            for number in range(3):
                await self._turns.acquire()
                yield h11.Data(f"data: {number}\n\n".encode())
        elif what == "trailers":
            headers = [("transfer-encoding", "chunked"), ("trailer", "checksum")]
            yield h11.Response(status_code=200, headers=headers)
            yield h11.Data(b"body")
        else:
            if what == "late":
                await asyncio.sleep(float(argument))
            yield h11.Response(status_code=200, headers=[("content-length", str(len(whole)))])
            yield h11.Data(whole)
        yield h11.EndOfMessage(headers=[("checksum", "42")] if what == "trailers" else [])


@contextlib.asynccontextmanager
async def echo() -> AsyncIterator[Echo]:
    made = Echo()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
