# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 to one server: h11 over asyncio's streams, with connections that are kept for the next request.

In: a URL, TLS, headers for every request. Out: responses, whose bodies arrive in pieces. Called by: `client.http`. A
general client (httpx, aiohttp) takes longer to import than `tidegate get` may take in all.

Failures (`WireError`): `ConnectFailed` if there is no connection, `ReadTimeout` after a timeout, `ProtocolError` if
the connection ends too early or does not carry HTTP.
"""

import asyncio
import ssl
import time
import urllib.parse
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus

import h11

from tidegate.streaming.duplex import SocketDuplex

_CONNECT_SECONDS = 5.0
_KEPT_SECONDS = 3.0  # less than servers keep idle connections: uvicorn closes them after 5 s
_PIECE = 64 * 1024
_HEAD = 64 * 1024
_PORTS = {"http": 80, "https": 443}


class WireError(Exception):
    """An incomplete exchange."""


class ConnectFailed(WireError):
    """Nothing listens at the address, or its certificate is not trusted."""


class ReadTimeout(WireError):
    """The server sent nothing within the limit."""


class ProtocolError(WireError):
    """The connection ended before the response was complete, or the response is not HTTP."""


@dataclass(frozen=True, slots=True)
class ClientRequest:
    """A request. `seconds`: maximum time to wait for each piece of the response; None: no limit."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = b""
    seconds: float | None = 30.0


class ClientConnection:
    """One connection: a request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD)
        self._idle_since = 0.0

    async def send(self, request: ClientRequest, headers: Mapping[str, str]) -> h11.Response:
        """Send a request and read the head of its answer."""
        length = {"content-length": str(len(request.body))} if request.body else {}
        fields = list({**headers, **request.headers, **length}.items())
        parts: tuple[h11.Event, ...] = (
            h11.Request(method=request.method, target=request.target, headers=fields),
            *((h11.Data(data=request.body),) if request.body else ()),
            h11.EndOfMessage(),
        )
        async with _failures(request.seconds):
            self._writer.write(b"".join(self._http.send(part) or b"" for part in parts))
            await self._writer.drain()
        while not isinstance(event := await self._next(request.seconds), h11.Response):
            if not isinstance(event, h11.InformationalResponse):
                raise ProtocolError("it ended before the answer")
        return event

    async def switched(self, request: ClientRequest, headers: Mapping[str, str]) -> SocketDuplex | h11.Response:
        """Send a request to switch the protocol: the connection after the answer 101, or another answer."""
        fields = list({**headers, **request.headers}.items())
        head = h11.Request(method=request.method, target=request.target, headers=fields)
        async with _failures(request.seconds):
            self._writer.write((self._http.send(head) or b"") + (self._http.send(h11.EndOfMessage()) or b""))
            await self._writer.drain()
        while not isinstance(event := await self._next(request.seconds), h11.Response):
            if not isinstance(event, h11.InformationalResponse):
                raise ProtocolError("it ended before the answer")
            if event.status_code == HTTPStatus.SWITCHING_PROTOCOLS:
                unread, _ = self._http.trailing_data
                return SocketDuplex(self._reader, self._writer, unread)
        return event

    async def body(self, seconds: float | None) -> AsyncIterator[bytes]:
        """The pieces of the answer's body; afterwards the next request may be sent."""
        while isinstance(event := await self._next(seconds), h11.Data):
            yield bytes(event.data)
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
            self._idle_since = time.monotonic()

    async def _next(self, seconds: float | None) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        async with _failures(seconds):
            while (event := self._http.next_event()) is h11.NEED_DATA:
                self._http.receive_data(await self._reader.read(_PIECE))
        return event

    @property
    def reusable(self) -> bool:
        return (
            self._http.our_state is h11.IDLE
            and not self._reader.at_eof()
            and time.monotonic() - self._idle_since < _KEPT_SECONDS
        )

    async def close(self) -> None:
        self._writer.transport.abort()
        with suppress(OSError):
            await self._writer.wait_closed()


class ClientResponse:
    """The head of an answer, and its body in pieces."""

    def __init__(self, head: h11.Response, pieces: AsyncIterator[bytes]) -> None:
        self.status = head.status_code
        self.reason = head.reason.decode("latin-1")
        self.headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in head.headers]
        self.pieces = pieces

    async def read(self) -> bytes:
        return b"".join([piece async for piece in self.pieces])


class ConnectionPool:
    """One server, for the time of an `async with`."""

    def __init__(self, url: str, tls: ssl.SSLContext, headers: Mapping[str, str]) -> None:
        parts = urllib.parse.urlsplit(url)
        self.url = url
        self._host = parts.hostname or ""
        self._port = parts.port or _PORTS[parts.scheme]
        self._tls = tls if parts.scheme == "https" else None
        self._headers = {"host": parts.netloc, **headers}
        self._kept: list[ClientConnection] = []

    async def __aenter__(self) -> "ConnectionPool":
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        for connection in self._kept:
            await connection.close()

    @asynccontextmanager
    async def exchange(self, request: ClientRequest) -> AsyncIterator[ClientResponse]:
        """Send a request. The connection is kept once the whole answer was read, else it is closed."""
        connection = await self._connection()
        try:
            head = await connection.send(request, self._headers)
            yield ClientResponse(head, connection.body(request.seconds))
        finally:
            if connection.reusable:
                self._kept.append(connection)
            else:
                await connection.close()

    @asynccontextmanager
    async def switched(self, request: ClientRequest) -> AsyncIterator[SocketDuplex | ClientResponse]:
        """Switch a connection to another protocol, for the time of an `async with`."""
        connection = await self._connection()
        try:
            answer = await connection.switched(request, self._headers)
            if isinstance(answer, h11.Response):
                yield ClientResponse(answer, connection.body(request.seconds))
            else:
                yield answer
        finally:
            await connection.close()

    async def _connection(self) -> ClientConnection:
        while self._kept:
            connection = self._kept.pop()
            if connection.reusable:
                return connection
            await connection.close()
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                return ClientConnection(*await asyncio.open_connection(self._host, self._port, ssl=self._tls))
        except TimeoutError as error:
            raise ReadTimeout from error
        except OSError as error:
            raise ConnectFailed(str(error)) from error


@asynccontextmanager
async def _failures(seconds: float | None) -> AsyncIterator[None]:
    """Raise failures of one step on a connection as ours; the step may take `seconds`."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise ReadTimeout from error
    except (OSError, h11.ProtocolError) as error:
        raise ProtocolError(str(error) or type(error).__name__) from error
