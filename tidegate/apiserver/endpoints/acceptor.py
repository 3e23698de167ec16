# SPDX-License-Identifier: Apache-2.0
"""Accepts connections to the API, and limits their number before TLS and before authentication.

In: listening sockets. Out: connections after their TLS handshake, as protocols. A connection is unauthenticated until
one of its requests had the token:

| | limit | beyond it |
| --- | --- | --- |
| unauthenticated connections | `MOST_UNAUTHENTICATED` | the oldest of them is closed |
| all connections | `MOST_CONNECTIONS`, half of the files that may be open | the oldest of them, else the new one |
| the handshake | `HANDSHAKE_SECONDS` | the connection is closed |

All clients on this machine have one address, so there is no limit per address. The oldest unauthenticated connection
has had the most time: a client that has its token ready needs a few milliseconds.
"""

import asyncio
import resource
import socket
import ssl
from collections.abc import Callable, Sequence

MOST_UNAUTHENTICATED = 256
MOST_CONNECTIONS = 4000
HANDSHAKE_SECONDS = 5.0
_SHUTDOWN_SECONDS = 5.0
_NO_FILES_SECONDS = 0.1  # until the next attempt, if no file can be opened


class AcceptedConnection:
    """One connection. It has a `transport` after its handshake."""

    def __init__(self, acceptor: "Acceptor") -> None:
        self._acceptor = acceptor
        self.transport: asyncio.Transport | None = None
        self.handshake: asyncio.Task[None] | None = None

    def admit(self) -> None:
        """A request on it has been authenticated."""
        self._acceptor.admitted(self)

    def closed(self) -> None:
        """The connection is closed."""
        self._acceptor.removed(self)

    def close(self) -> None:
        if self.transport is not None:
            self.transport.abort()
        elif self.handshake is not None:
            self.handshake.cancel()


class Acceptor:
    """Accepts connections on its listeners until `run` is cancelled."""

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        context: ssl.SSLContext,
        protocol: Callable[[AcceptedConnection], asyncio.Protocol],
    ) -> None:
        self._listeners = listeners
        self._context = context
        self._protocol = protocol
        self._unauthenticated: dict[AcceptedConnection, None] = {}  # the oldest first
        self._admitted: set[AcceptedConnection] = set()

    async def run(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for listener in self._listeners:
                    listener.setblocking(False)
                    group.create_task(self._accept(listener), name="api listener")
        finally:
            for connection in self._unauthenticated:
                if connection.transport is None:
                    connection.close()

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, _ = await loop.sock_accept(listener)
            except OSError:  # no file can be opened, or the client has closed the connection
                self._close_oldest()
                await asyncio.sleep(_NO_FILES_SECONDS)
                continue
            self._add(accepted)

    def _add(self, accepted: socket.socket) -> None:
        if len(self._unauthenticated) >= MOST_UNAUTHENTICATED or self._is_full():
            self._close_oldest()
        if self._is_full():
            accepted.close()
            return
        connection = AcceptedConnection(self)
        self._unauthenticated[connection] = None
        connection.handshake = asyncio.create_task(self._shake_hands(connection, accepted), name="api handshake")
        # Also if the handshake is cancelled before it has begun.
        connection.handshake.add_done_callback(lambda _: accepted.close() if connection.transport is None else None)

    def _is_full(self) -> bool:
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return len(self._unauthenticated) + len(self._admitted) >= min(MOST_CONNECTIONS, files // 2)

    def _close_oldest(self) -> None:
        oldest = next(iter(self._unauthenticated), None)
        if oldest is not None:
            self.removed(oldest)
            oldest.close()

    async def _shake_hands(self, connection: AcceptedConnection, accepted: socket.socket) -> None:
        """Do the TLS handshake. After it, the protocol reports when the connection is closed."""
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: self._protocol(connection),
                accepted,
                ssl=self._context,
                ssl_handshake_timeout=HANDSHAKE_SECONDS,
                ssl_shutdown_timeout=_SHUTDOWN_SECONDS,
            )
        except (OSError, asyncio.CancelledError):  # no TLS, too slow, closed by the client, or closed to make room
            self.removed(connection)

    def admitted(self, connection: AcceptedConnection) -> None:
        if connection in self._unauthenticated:
            del self._unauthenticated[connection]
            self._admitted.add(connection)

    def removed(self, connection: AcceptedConnection) -> None:
        self._unauthenticated.pop(connection, None)
        self._admitted.discard(connection)
