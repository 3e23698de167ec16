# SPDX-License-Identifier: Apache-2.0
"""The endpoints for sessions: `pods/exec`, `pods/attach` and `pods/portforward`.

In: a request that asks to switch its connection. Out: a `SessionResponse`, whose bytes the node handles; or an error as
a Status, before the switch. Called by: `objects.py`.
"""

import socket
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.types import ASGIApp

from tidegate.apiserver.endpoints import containers, handshakes, parameters, port_forward, session_transports
from tidegate.apiserver.endpoints.handshakes import Handshake
from tidegate.apiserver.endpoints.paths import ResourcePath
from tidegate.apiserver.endpoints.port_forward import ChannelPortForward, SpdyPortForward
from tidegate.apiserver.endpoints.providers import PodSessions
from tidegate.apiserver.endpoints.session_response import Activity, Serve, SessionLimits, SessionResponse, first_of
from tidegate.apiserver.endpoints.session_transports import SessionTransport, SpdyTransport, WebSocketTransport
from tidegate.apiserver.endpoints.streams import Streams
from tidegate.apiserver.registry.reader import Reader
from tidegate.model import errors
from tidegate.model.kinds import POD
from tidegate.model.objects import Object, uid
from tidegate.model.sessions import SessionOptions
from tidegate.streaming import channels
from tidegate.streaming.duplex import SocketDuplex

_Session = Callable[[SessionTransport], Awaitable[int]]
"""One session; the exit code of its program."""


class PodSessionEndpoints:
    """Answers requests for sessions with Pods."""

    def __init__(self, reader: Reader, sessions: PodSessions, streams: Streams) -> None:
        self._reader = reader
        self._sessions = sessions
        self._streams = streams
        self._limits = SessionLimits()

    async def exec(self, request: Request, path: ResourcePath) -> ASGIApp:
        options = parameters.session_options(request.query_params)
        if not options.command:
            raise errors.BadRequest("you must specify at least one command for the container")
        pod, container = self._container(request, path)
        self._sessions.require(pod, container)

        async def execute(transport: SessionTransport) -> int:
            return await self._sessions.execute(pod, container, options, transport)

        return self._session(request, pod, options, execute)

    async def attach(self, request: Request, path: ResourcePath) -> ASGIApp:
        options = parameters.session_options(request.query_params)
        pod, container = self._container(request, path)
        if options.stdin:
            raise errors.BadRequest(f"container {container} has no stdin: attach without it, or use exec")
        self._sessions.require(pod, container)

        async def attach(transport: SessionTransport) -> int:
            await self._sessions.attach(pod, container, options, transport)
            return 0

        return self._session(request, pod, options, attach)

    async def port_forward(self, request: Request, path: ResourcePath) -> ASGIApp:
        pod = self._reader.get(POD, path.key)
        handshake = handshakes.negotiated(
            request, websocket=port_forward.WEBSOCKET_PROTOCOLS, spdy=port_forward.SPDY_PROTOCOLS
        )
        uses_channels = handshake.is_websocket and handshake.protocol != channels.TUNNEL
        ports = parameters.ports(request.query_params, port_forward.MOST_PORTS) if uses_channels else []
        self._sessions.require(pod, "")

        async def serve(duplex: SocketDuplex, activity: Activity) -> None:
            async def connect(port: int) -> socket.socket:
                return await self._sessions.connect(pod, port)

            if uses_channels:
                await ChannelPortForward(duplex, handshake.protocol, ports, activity).run(connect)
            else:
                below = port_forward.tunnelled(duplex) if handshake.is_websocket else duplex
                await SpdyPortForward(below, connect, activity).run()

        return self._response(handshake, pod, serve)

    def _container(self, request: Request, path: ResourcePath) -> tuple[Object, str]:
        pod = self._reader.get(POD, path.key)
        container = containers.requested(pod, request.query_params.get("container", ""))
        return pod, container

    def _session(self, request: Request, pod: Object, options: SessionOptions, session: _Session) -> ASGIApp:
        handshake = handshakes.negotiated(
            request, websocket=session_transports.WEBSOCKET_PROTOCOLS, spdy=session_transports.SPDY_PROTOCOLS
        )
        made = WebSocketTransport if handshake.is_websocket else SpdyTransport

        async def serve(duplex: SocketDuplex, activity: Activity) -> None:
            transport: SessionTransport = made(duplex, handshake.protocol, options, activity)
            await first_of(_run(transport, session), transport.run())

        return self._response(handshake, pod, serve)

    def _response(self, handshake: Handshake, pod: Object, serve: Serve) -> ASGIApp:
        return SessionResponse(handshake, serve, pod=uid(pod), limits=self._limits, streams=self._streams)


async def _run(transport: SessionTransport, session: _Session) -> None:
    """One session from its first byte to its Status."""
    await transport.opened()
    try:
        code = await session(transport)
    except errors.ApiError as error:
        await transport.finish(error.status())
    else:
        await transport.finish(_exit_status(code))


def _exit_status(code: int) -> Object:
    """Rule: k8s.io/apimachinery pkg/util/remotecommand, `NonZeroExitCodeReason`."""
    if code == 0:
        return {"metadata": {}, "status": "Success"}
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: exit code {code}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }
