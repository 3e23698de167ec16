# SPDX-License-Identifier: Apache-2.0
"""An ASGI application on a socket: HTTPS on the loopback addresses, in the event loop of the caller.

TLS is always on, because kubectl does not send its token over plain HTTP.
"""

import asyncio
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import uvicorn
from starlette.types import ASGIApp

from tidegate.apiserver.endpoints.acceptor import AcceptedConnection, Acceptor
from tidegate.apiserver.endpoints.connection import HttpConnection
from tidegate.apiserver.endpoints.streams import Streams
from tidegate.apiserver.pki import Identity
from tidegate.kit import addresses

_GRACE_SECONDS = 2  # for requests that run when the server stops


class HttpsServer:
    """One HTTPS server. `port` 0 takes a free port. `streams` are closed when the server stops."""

    def __init__(self, app: ASGIApp, streams: Streams, identity: Identity, port: int) -> None:
        self._app = app
        self._streams = streams
        self._identity = identity
        self._port = port
        self._started = asyncio.Event()

    async def started(self) -> int:
        """Return the port once the server accepts requests on it."""
        await self._started.wait()
        return self._port

    async def run(self) -> None:
        """Serve until cancelled. Raises `OSError` if the port is not available."""
        with ExitStack() as stack:
            listeners = [stack.enter_context(self._listener(address)) for address in addresses.loopback()]
            server = _Uvicorn(self._config(), listeners, self._started)
            serving = asyncio.create_task(server.serve(), name="api server")
            try:
                await asyncio.shield(serving)
            finally:
                self._streams.close()
                server.should_exit = True
                await serving

    def _listener(self, address: str) -> socket.socket:
        """All listeners have the same port, which the first one may choose."""
        listener = socket.create_server((address, self._port), family=addresses.family(address), backlog=1024)
        # Connections inherit it. asyncio sets it only for a socket that names its protocol, which this one does not.
        # Without it, the body of an answer waits 40 ms after its head.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._port = listener.getsockname()[1]
        return listener

    def _config(self) -> uvicorn.Config:
        return uvicorn.Config(
            self._app,
            ssl_certfile=self._identity.certificate,
            ssl_keyfile=self._identity.key,
            lifespan="off",
            ws="none",
            log_config=None,
            log_level="error",  # clients cannot fill the log
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )


class _Uvicorn(uvicorn.Server):
    """Uvicorn behind an `Acceptor`. It leaves signals to its process, and sets `started` when it serves."""

    def __init__(self, config: uvicorn.Config, listeners: Sequence[socket.socket], started: asyncio.Event) -> None:
        super().__init__(config)
        self._listeners = listeners
        self._serving = started

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await self.lifespan.startup()
        context = self.config.ssl
        if context is None:
            raise RuntimeError("the API is served over TLS only")
        self.servers = []  # uvicorn's own, which are not used
        acceptor = Acceptor(self._listeners, context, self._connection)
        self._accepting = asyncio.create_task(acceptor.run(), name="api acceptor")
        self._accepting.add_done_callback(self._exit)
        self.started = True
        self._serving.set()

    def _exit(self, accepting: asyncio.Task[None]) -> None:
        self.should_exit = True

    def _connection(self, accepted: AcceptedConnection) -> HttpConnection:
        return HttpConnection(self.config, self.server_state, self.lifespan.state, accepted)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._accepting.cancel()
        await asyncio.wait([self._accepting])
        await super().shutdown(sockets)
        if not self._accepting.cancelled():
            self._accepting.result()
