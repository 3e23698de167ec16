# SPDX-License-Identifier: Apache-2.0
"""WebSocket (RFC 6455) over a connection whose handshake is done; the frames are wsproto's.

In: a `Duplex`. Out: messages in the pieces in which they arrive, so that no message is buffered whole; a `Tunnel`,
which carries bytes in messages. Called by: the API's sessions (as the server), `tidegate exec` and `tidegate
port-forward` (as the client).
"""

from collections import deque
from typing import NamedTuple

from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Message, Ping, TextMessage
from wsproto.frame_protocol import CloseReason

from tidegate.streaming.duplex import Answers, Duplex


class MessagePiece(NamedTuple):
    """A part of a message. `starts`, `ends`: it is the first, the last part."""

    data: bytes
    starts: bool
    ends: bool


class WebSocket:
    """One side of a WebSocket."""

    def __init__(self, duplex: Duplex, *, is_server: bool) -> None:
        self._duplex = duplex
        self._connection = Connection(ConnectionType.SERVER if is_server else ConnectionType.CLIENT)
        self._pieces: deque[MessagePiece] = deque()
        self._starts = True  # the next piece is the first one of a message
        self._has_ended = False
        self._answers = Answers()

    async def receive(self) -> MessagePiece | None:
        """The next part of a message; None once the peer has closed the WebSocket, or does not keep to the
        protocol."""
        while not self._pieces:
            if self._has_ended:
                return None
            received = await self._duplex.read()
            if not received:
                return None
            self._feed(received)
            try:
                await self._answers.drained(self._duplex)
            except ConnectionError:
                return None
        return self._pieces.popleft()

    def _feed(self, received: bytes) -> None:
        self._connection.receive_data(received)
        for event in self._connection.events():
            match event:
                case Message():
                    data = event.data.encode() if isinstance(event.data, str) else bytes(event.data)
                    self._pieces.append(MessagePiece(data, self._starts, event.message_finished))
                    self._starts = event.message_finished
                case Ping():
                    self._duplex.write(self._connection.send(event.response()))
                    self._answers.add()
                case CloseConnection(code=code):  # from the peer, or because its frames are malformed
                    self._has_ended = True
                    self.close(code if self._connection.state is ConnectionState.OPEN else CloseReason.NORMAL_CLOSURE)

    async def send(self, data: bytes, *, is_text: bool = False) -> None:
        """Send one message. Raises `ConnectionError`."""
        if self._connection.state is not ConnectionState.OPEN:
            raise ConnectionResetError("the WebSocket is closed")
        self.queue(data, is_text=is_text)
        await self._duplex.drain()

    def queue(self, data: bytes, *, is_text: bool = False) -> None:
        """Send one message; nothing if the WebSocket is closed. The caller awaits `drain` of the connection below."""
        if self._connection.state is ConnectionState.OPEN:
            event = TextMessage(data=data.decode()) if is_text else BytesMessage(data=data)
            self._duplex.write(self._connection.send(event))

    def ping(self) -> None:
        """Find out whether the peer still exists: a write to a closed connection fails."""
        if self._connection.state is ConnectionState.OPEN:
            self._duplex.write(self._connection.send(Ping()))

    def close(self, code: int = CloseReason.NORMAL_CLOSURE) -> None:
        if self._connection.state in (ConnectionState.OPEN, ConnectionState.REMOTE_CLOSING):
            self._duplex.write(self._connection.send(CloseConnection(code=code)))


class Tunnel:
    """A `Duplex` in the messages of a WebSocket."""

    def __init__(self, socket: WebSocket, duplex: Duplex) -> None:
        self._socket = socket
        self._duplex = duplex

    async def read(self) -> bytes:
        while (piece := await self._socket.receive()) is not None:
            if piece.data:
                return piece.data
        return b""

    def write(self, data: bytes) -> None:
        self._socket.queue(data)

    async def drain(self) -> None:
        await self._duplex.drain()
