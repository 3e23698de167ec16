# SPDX-License-Identifier: Apache-2.0
"""One connection to the API: uvicorn's HTTP/1.1, with deadlines for the client, and parsing in small parts.

| deadline | for |
| --- | --- |
| `HEAD_SECONDS` | the head of a request; from the handshake for the first, from its first byte for the others |
| `BODY_SECONDS` | the body of a request, even if the application does not read it |
| uvicorn's 5 s | the next request on a connection |

In: bytes of the client. Out: ASGI calls of the application. Called by: `Acceptor`, which makes one per connection.

The application can take a connection over (`switched`): after the answer 101 it is no HTTP any more.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any

import h11
import msgspec
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from tidegate.apiserver.endpoints.acceptor import AcceptedConnection
from tidegate.model import errors
from tidegate.streaming.duplex import SocketDuplex

HEAD_SECONDS = 10.0
BODY_SECONDS = 60.0
ADMIT = "tidegate.admit"
"""The ASGI extension that the application calls when a request has been authenticated."""
SWITCH = "tidegate.switch"
"""The ASGI extension by which the application takes the connection over: `HttpConnection.switched`."""

_PART = 4096
"""Bytes that are parsed in one turn of the event loop. The slowest, chunks of one byte each, take some 10 ms."""


class HttpConnection(H11Protocol):
    """The protocol of one accepted connection."""

    def __init__(
        self, config: Config, server_state: ServerState, app_state: dict[str, Any], accepted: AcceptedConnection
    ) -> None:
        super().__init__(config, server_state, app_state)
        self._accepted = accepted
        self._received: deque[bytes] = deque()
        self._expected = ""
        self._is_switched = False
        self._deadline: asyncio.TimerHandle | None = None
        application = self.app

        async def app(scope: Any, receive: Any, send: Any) -> None:
            extensions = {ADMIT: accepted.admit, SWITCH: self.switched}
            await application({**scope, "extensions": extensions}, receive, send)
            if self._is_switched:
                self.cycle.disconnected = True  # else uvicorn takes its answer for an incomplete one

        self.app = app

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._accepted.transport = transport
        super().connection_made(transport)
        self._expect("head")

    def connection_lost(self, exc: Exception | None) -> None:
        self._received.clear()
        self._expect("")
        self._accepted.closed()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        is_idle = not self._received
        self._received.extend(data[at : at + _PART] for at in range(0, len(data), _PART))
        if is_idle:
            self._parse()

    def _parse(self) -> None:
        if not self._received:
            return  # the connection was lost
        super().data_received(self._received.popleft())
        if self._received:
            self.transport.pause_reading()
            self.loop.call_soon(self._parse)
        elif not self.flow.read_paused:
            self.transport.resume_reading()

    def handle_events(self) -> None:
        super().handle_events()
        if self.conn.their_state is h11.SEND_BODY:
            self._expect("body")
        else:
            has_begun = self.conn.their_state is h11.IDLE and bool(self.conn.trailing_data[0])
            self._expect("head" if has_begun else "")

    def _expect(self, part: str) -> None:
        """Close the connection unless this part of a request ("head", "body") is complete in time; "" expects none."""
        if part == self._expected:
            return
        self._expected = part
        if self._deadline is not None:
            self._deadline.cancel()
        seconds = BODY_SECONDS if part == "body" else HEAD_SECONDS
        self._deadline = self.loop.call_later(seconds, self.transport.abort) if part else None

    def switched(self, headers: Sequence[tuple[str, str]]) -> SocketDuplex:
        """Answer the present request with 101. The connection is the caller's from then on, until its ASGI call
        returns."""
        self._expect("")
        self.cycle.response_started = self._is_switched = True
        reader = asyncio.StreamReader(loop=self.loop)
        protocol = _SwitchedProtocol(reader, self)
        self.transport.write(self.conn.send(h11.InformationalResponse(status_code=101, headers=list(headers))) or b"")
        unparsed, _ = self.conn.trailing_data
        self.transport.set_protocol(protocol)
        protocol.connection_made(self.transport)
        reader.feed_data(unparsed + b"".join(self._received))
        self._received.clear()
        self.flow.resume_reading()
        return SocketDuplex(reader, asyncio.StreamWriter(self.transport, protocol, reader, self.loop))

    def send_400_response(self, msg: str) -> None:
        """Answer malformed HTTP with a Status, unless another answer has begun."""
        if self.conn.our_state is not h11.IDLE:
            self.transport.close()
            return
        body = msgspec.json.encode(errors.BadRequest(msg).status())
        headers = [("content-type", "application/json"), ("content-length", str(len(body))), ("connection", "close")]
        for event in (h11.Response(status_code=400, headers=headers), h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


class _SwitchedProtocol(asyncio.StreamReaderProtocol):
    """A connection after its switch. `HttpConnection` still accounts for it."""

    def __init__(self, reader: asyncio.StreamReader, connection: HttpConnection) -> None:
        super().__init__(reader, loop=connection.loop)
        self._connection = connection

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._connection.connection_lost(exc)
