# SPDX-License-Identifier: Apache-2.0
"""The sockets of a container with a network namespace of its own: each listener there belongs to its Pod.

In: a process of the namespace. Out: a `Listening`. No port has to be held: no other Pod and no program of the host can
take a port of that address. Called by: the runtimes, for instances with an address of their own.
"""

import asyncio
from collections.abc import Sequence

from tidegate.kit.processes import Process
from tidegate.node.runtime import ListeningSocket
from tidegate.node.runtimes import sockets

_EVERY = 5  # calls of `check`, one a second, for one look: a look takes 0.2 ms
_LOOPBACK = ("127.", "::1", "::ffff:127.")


class NamespaceListening:
    """The sockets of one run of a container. `process`: its first one."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._port = 0
        self._calls = process.pid % _EVERY  # not all containers in the same second
        self._lost = asyncio.Event()

    async def problem(self, port: int) -> str | None:
        """A port that only the Pod itself reaches counts as not listening."""
        if not _reachable(self._sockets(port)):
            return "nothing listens there"
        self._port = port
        return None

    async def opened(self) -> Sequence[ListeningSocket] | None:
        return sorted(self._sockets())

    def is_taken(self, port: int) -> bool:
        return bool(self._sockets(port))

    def hold_port(self) -> None:
        self._lost.clear()

    async def lost(self) -> None:
        await self._lost.wait()

    def check(self) -> None:
        self._calls += 1
        if self._port and self._calls % _EVERY == 0 and not _reachable(self._sockets(self._port)):
            self._lost.set()

    def invalidate(self) -> None:
        self._port = 0

    def refuse_connections(self) -> None:
        """Nobody listens there once the container has ended."""

    def release(self) -> None:
        """Nothing is held."""

    def _sockets(self, port: int = 0) -> list[ListeningSocket]:
        try:
            return sockets.listeners_of(self._process.pid, port)
        except (FileNotFoundError, ProcessLookupError):  # it has ended
            return []


def _reachable(found: Sequence[ListeningSocket]) -> list[ListeningSocket]:
    return [listener for listener in found if not listener.address.startswith(_LOOPBACK)]
