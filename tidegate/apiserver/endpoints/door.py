# SPDX-License-Identifier: Apache-2.0
"""Who may be connected to the API: every connection from the moment it is accepted, before TLS and before its token.

In: listening sockets. Out: connections that have shaken hands, as protocols. A guest is a connection on which no
request has had the token yet:

| | limit | beyond it |
| --- | --- | --- |
| guests | `GUESTS` | the oldest guest is closed |
| connections | `CONNECTIONS`, half of the files this process may open | the oldest guest, or else the new one |
| the handshake | `HANDSHAKE_SECONDS` | closed |

All clients on this machine have one address, so that there is no limit per address; the oldest guest is who has had the
most time. A client that has its token ready is done within milliseconds.
"""

import asyncio
import resource
import socket
import ssl
from collections.abc import Callable, Sequence

GUESTS = 256
CONNECTIONS = 4000
HANDSHAKE_SECONDS = 5.0
_SHUTDOWN_SECONDS = 5.0
_NO_FILES_SECONDS = 0.1


class Visit:
    """One connection. `transport` is there once hands were shaken."""

    def __init__(self, door: "Door") -> None:
        self._door = door
        self.transport: asyncio.Transport | None = None
        self.greeting: asyncio.Task[None] | None = None

    def admit(self) -> None:
        """A request has proven who the client is."""
        self._door.admitted(self)

    def gone(self) -> None:
        """The connection is lost."""
        self._door.left(self)

    def close(self) -> None:
        if self.transport is not None:
            self.transport.abort()
        elif self.greeting is not None:
            self.greeting.cancel()


class Door:
    """Accepts on some sockets until `run` is cancelled."""

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        context: ssl.SSLContext,
        protocol: Callable[[Visit], asyncio.Protocol],
    ) -> None:
        self._listeners = listeners
        self._context = context
        self._protocol = protocol
        self._guests: dict[Visit, None] = {}  # the oldest first
        self._admitted: set[Visit] = set()

    async def run(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for listener in self._listeners:
                    listener.setblocking(False)
                    group.create_task(self._accept(listener), name="api listener")
        finally:
            for visit in self._guests:
                if visit.transport is None:
                    visit.close()

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, _ = await loop.sock_accept(listener)
            except OSError:  # no file is left, or the client has gone already
                self._close_oldest()
                await asyncio.sleep(_NO_FILES_SECONDS)
                continue
            self._enter(accepted)

    def _enter(self, accepted: socket.socket) -> None:
        if len(self._guests) >= GUESTS or self._is_full():
            self._close_oldest()
        if self._is_full():
            accepted.close()
            return
        visit = Visit(self)
        self._guests[visit] = None
        visit.greeting = asyncio.create_task(self._greet(visit, accepted), name="api handshake")
        # Also of one that is closed before it has begun.
        visit.greeting.add_done_callback(lambda _: accepted.close() if visit.transport is None else None)

    def _is_full(self) -> bool:
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return len(self._guests) + len(self._admitted) >= min(CONNECTIONS, files // 2)

    def _close_oldest(self) -> None:
        oldest = next(iter(self._guests), None)
        if oldest is not None:
            self.left(oldest)
            oldest.close()

    async def _greet(self, visit: Visit, accepted: socket.socket) -> None:
        """Shake hands. From then on the protocol says when the visit ends."""
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: self._protocol(visit),
                accepted,
                ssl=self._context,
                ssl_handshake_timeout=HANDSHAKE_SECONDS,
                ssl_shutdown_timeout=_SHUTDOWN_SECONDS,
            )
        except (OSError, asyncio.CancelledError):  # no TLS, too slow, gone, or closed for another
            self.left(visit)

    def admitted(self, visit: Visit) -> None:
        if visit in self._guests:
            del self._guests[visit]
            self._admitted.add(visit)

    def left(self, visit: Visit) -> None:
        self._guests.pop(visit, None)
        self._admitted.discard(visit)
