# SPDX-License-Identifier: Apache-2.0
"""The ASGI response of a session: it switches the connection, and ends with the session, the client or the server.

In: a handshake, and a function that serves the connection. Out: the connection, closed. Called by: `pod_sessions.py`.

| limit | beyond it |
| --- | --- |
| `MOST_SESSIONS`, `MOST_OF_POD` at a time | `TooManyRequests`, before the switch |
| `IDLE_SECONDS` without a byte for or from the client | the session ends |
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import structlog
from starlette.types import Receive, Scope, Send

from tidegate.apiserver.endpoints.connection import SWITCH
from tidegate.apiserver.endpoints.handshakes import Handshake
from tidegate.apiserver.endpoints.streams import Streams
from tidegate.model import errors
from tidegate.streaming.duplex import SocketDuplex
from tidegate.streaming.spdy_frames import SpdyError

MOST_SESSIONS = 256
MOST_OF_POD = 32
IDLE_SECONDS = 4 * 3600.0
"""As the kubelet's streamingConnectionIdleTimeout."""

_PING_SECONDS = 10.0
_LINGER_SECONDS = 2.0
_log = structlog.get_logger("api")


class SessionLimits:
    """Counts the sessions of the server, and of each Pod."""

    def __init__(self) -> None:
        self._of_pod: Counter[str] = Counter()

    def require_room(self, pod: str) -> None:
        """Raise `TooManyRequests` if a limit is reached."""
        if self._of_pod[pod] >= MOST_OF_POD:
            raise errors.TooManyRequests(f"this pod has {MOST_OF_POD} sessions at once, end one first")
        if self._of_pod.total() >= MOST_SESSIONS:
            raise errors.TooManyRequests(f"this server has {MOST_SESSIONS} sessions at once, end one first")

    @contextmanager
    def counted(self, pod: str) -> Iterator[None]:
        self._of_pod[pod] += 1
        try:
            yield
        finally:
            self._of_pod[pod] -= 1
            if not self._of_pod[pod]:
                del self._of_pod[pod]


class Activity:
    """The time of the last byte of a session. `ping`: finds out whether the client still exists."""

    def __init__(self) -> None:
        self.ping: Callable[[], None] = _no_ping
        self._loop = asyncio.get_running_loop()
        self._last = self._loop.time()

    def note(self) -> None:
        self._last = self._loop.time()

    async def ended(self) -> None:
        """Returns once nothing has happened for `IDLE_SECONDS`."""
        while (left := self._last + IDLE_SECONDS - self._loop.time()) > 0:
            await asyncio.sleep(min(left, _PING_SECONDS))
            self.ping()


def _no_ping() -> None:
    """Before the session has begun."""


Serve = Callable[[SocketDuplex, Activity], Coroutine[Any, Any, None]]
"""Serves one connection until its session ends, or its client has left."""


class SessionResponse:
    """The response of one session with a Pod."""

    def __init__(
        self, handshake: Handshake, serve: Serve, *, pod: str, limits: SessionLimits, streams: Streams
    ) -> None:
        limits.require_room(pod)
        self._handshake = handshake
        self._serve = serve
        self._pod = pod
        self._limits = limits
        self._streams = streams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._limits.counted(self._pod):
            duplex: SocketDuplex = scope["extensions"][SWITCH](self._handshake.headers)
            activity = Activity()
            try:
                await first_of(
                    self._serve(duplex, activity), duplex.lost(), activity.ended(), self._streams.closing.wait()
                )
            finally:
                await duplex.close(_LINGER_SECONDS if not self._streams.closing.is_set() else 0)


async def first_of(*works: Awaitable[object]) -> None:
    """Return once one of them is done, after the others have been cancelled. The failure of a session ends only it."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    for failure in results:
        if isinstance(failure, Exception) and not isinstance(failure, ConnectionError | SpdyError | TimeoutError):
            _log.error("a session failed", exc_info=failure)
