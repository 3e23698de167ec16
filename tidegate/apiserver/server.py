# SPDX-License-Identifier: Apache-2.0
"""The API on a socket: HTTPS on the loopback address, in the event loop of whoever runs it.

TLS always, because kubectl does not send its token over plain HTTP.
"""

import asyncio
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import uvicorn

from tidegate.apiserver.endpoints import http
from tidegate.apiserver.endpoints.connection import Connection
from tidegate.apiserver.endpoints.door import Door, Visit
from tidegate.apiserver.endpoints.resources import EndedInstances, PodLogs, Resources, UnknownFields
from tidegate.apiserver.endpoints.streams import Streams
from tidegate.apiserver.pki import Identity
from tidegate.apiserver.registry.verbs import Api
from tidegate.kit import addresses
from tidegate.kit.clock import Clock, RealClock
from tidegate.model.user import AUTHENTICATED, User

ADMIN = User("tidegate-admin", ("system:masters", AUTHENTICATED))
"""The user of the token; objects name it as their creator and last modifier."""

STREAMS = 2000
_GRACE_SECONDS = 2


class Server:
    """One HTTPS server over an `Api`. `port` 0 takes a free one."""

    def __init__(
        self,
        api: Api,
        *,
        port: int,
        identity: Identity,
        pod_logs: PodLogs,
        ended: EndedInstances,
        unknown_fields: UnknownFields,
        figures: http.Figures,
        statusz: http.Statusz = dict,
        clock: Clock | None = None,
        streams: int = STREAMS,
    ) -> None:
        self._port = port
        self._identity = identity
        self._streams = Streams(streams)
        self._started = asyncio.Event()
        resources = Resources(
            api,
            clock=clock or RealClock(),
            streams=self._streams,
            pod_logs=pod_logs,
            ended=ended,
            unknown_fields=unknown_fields,
        )
        self._app = http.application(resources, api.scheme, figures, statusz, token=identity.token, user=ADMIN)

    async def started(self) -> int:
        """Return the port once requests are answered on it."""
        await self._started.wait()
        return self._port

    async def run(self) -> None:
        """Serve until cancelled. Raises `OSError` where the port cannot be had."""
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
        """All have one port, which the first may choose."""
        listener = socket.create_server((address, self._port), family=addresses.family(address), backlog=1024)
        # Inherited by connections. asyncio sets it only where a socket names its protocol, which this one does not;
        # without it, head and body of an answer wait 40 ms for each other.
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
    """Uvicorn behind a `Door`, that leaves signals to the process it is a part of, and says when it serves."""

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
        self.servers = []  # that uvicorn would accept with
        door = Door(self._listeners, context, self._connection)
        self._accepting = asyncio.create_task(door.run(), name="api door")
        self._accepting.add_done_callback(self._exit)
        self.started = True
        self._serving.set()

    def _exit(self, accepting: asyncio.Task[None]) -> None:
        self.should_exit = True

    def _connection(self, visit: Visit) -> Connection:
        return Connection(self.config, self.server_state, self.lifespan.state, visit)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._accepting.cancel()
        await asyncio.wait([self._accepting])
        await super().shutdown(sockets)
        if not self._accepting.cancelled():
            self._accepting.result()
