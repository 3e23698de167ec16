# SPDX-License-Identifier: Apache-2.0
"""`kubectl port-forward`: connections of a client to ports of a Pod, over SPDY streams or WebSocket channels.

In: a connection after its handshake, and a function that connects to a port. Out: bytes, in both directions. Called by:
`pod_sessions.py`.

SPDY, also in the messages of a WebSocket: for each connection the client opens two streams with the same `requestid`,
one for the data and one for an error. Channels of a WebSocket: two for each port that the query names, one connection
for each. Rule: k8s.io/kubelet pkg/cri/streaming/portforward.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Protocol

from tidegate.apiserver.endpoints.session_response import Activity, first_of
from tidegate.model import errors
from tidegate.streaming import channels
from tidegate.streaming.byte_queue import ByteQueue
from tidegate.streaming.duplex import Duplex
from tidegate.streaming.spdy import SpdyConnection, SpdyStream
from tidegate.streaming.spdy_frames import PROTOCOL_ERROR
from tidegate.streaming.websocket import Tunnel, WebSocket

SPDY_PROTOCOLS = ("portforward.k8s.io",)
WEBSOCKET_PROTOCOLS = (channels.TUNNEL, channels.V4, channels.V4_BASE64)
MOST_PORTS = 32
"""Ports in the query of one request."""

_MOST_STREAMS = 256
_PAIR_SECONDS = 30.0
_PIECE = 64 * 1024
_LARGEST_PORT = 65535

Connect = Callable[[int], Awaitable[socket.socket]]
"""A connection to a port of the Pod, which does not block. Raises `ApiError`, `OSError`."""


class Stream(Protocol):
    """The client's side of one forwarded connection."""

    async def read(self) -> bytes: ...
    async def write(self, data: bytes) -> None: ...
    def close(self) -> None: ...


class SpdyPortForward:
    """Serves the pairs of streams of one SPDY connection."""

    def __init__(self, duplex: Duplex, connect: Connect, activity: Activity) -> None:
        self._connection = SpdyConnection(duplex, is_server=True, most_streams=_MOST_STREAMS)
        self._connect = connect
        self._activity = activity
        self._waiting: dict[str, dict[str, SpdyStream]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        self._activity.ping = self._connection.ping
        try:
            await self._connection.run(self._accept)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, stream: SpdyStream) -> bool:
        kind, port = stream.headers.get("streamtype", ""), stream.headers.get("port", "")
        if kind not in ("data", "error") or not _is_port(port):
            return False
        # Old clients name no request: they open the stream for errors first, and the next one is for its data.
        request = stream.headers.get("requestid") or str(stream.number - (2 if kind == "data" else 0))
        pair = self._waiting.setdefault(request, {})
        if kind in pair or (pair and next(iter(pair.values())).headers["port"] != port):
            return False
        pair[kind] = stream
        if len(pair) == 1:
            self._start(self._await_other(request, pair))
        else:
            del self._waiting[request]
            self._start(self._serve(pair["data"], pair["error"], int(port)))
        return True

    def _start(self, work: "asyncio._CoroutineLike[None]") -> None:
        task = asyncio.create_task(work, name="port-forward")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _await_other(self, request: str, pair: dict[str, SpdyStream]) -> None:
        """A stream without its other one is reset after a while."""
        await asyncio.sleep(_PAIR_SECONDS)
        if self._waiting.get(request) is pair:
            del self._waiting[request]
            for stream in pair.values():
                stream.reset(PROTOCOL_ERROR)

    async def _serve(self, data: SpdyStream, error: SpdyStream, port: int) -> None:
        with suppress(ConnectionError):
            if failure := await forwarded(self._connect, port, data, self._activity):
                await error.write(failure.encode())
        data.close()
        error.close()
        if not data.is_finished:
            data.reset()


class ChannelPortForward:
    """Serves the ports of one WebSocket's query."""

    def __init__(self, duplex: Duplex, protocol: str, ports: Sequence[int], activity: Activity) -> None:
        self._socket = WebSocket(duplex, is_server=True)
        self._is_text = protocol == channels.V4_BASE64
        self._ports = ports
        self._activity = activity
        self._received = [ByteQueue() for _ in ports]

    async def run(self, connect: Connect) -> None:
        """The WebSocket ends with its last connection."""
        self._activity.ping = self._socket.ping
        for index, port in enumerate(self._ports):
            for channel in (2 * index, 2 * index + 1):
                await self.send(channel, port.to_bytes(2, "little"))
        await first_of(self._serve_all(connect), self._receive())

    async def _serve_all(self, connect: Connect) -> None:
        await asyncio.gather(*(self._serve(connect, index, port) for index, port in enumerate(self._ports)))
        self._socket.close()

    async def _receive(self) -> None:
        reader = channels.ChannelReader(is_text=self._is_text)
        while (piece := await self._socket.receive()) is not None:
            try:
                found = reader.feed(piece.data, starts=piece.starts)
            except ValueError:
                self._socket.close(1007)
                return
            if found is not None and not found[0] % 2 and found[0] // 2 < len(self._ports):
                await self._received[found[0] // 2].put(found[1])

    async def _serve(self, connect: Connect, index: int, port: int) -> None:
        stream = _Channel(self, 2 * index, self._received[index])
        with suppress(ConnectionError):
            if failure := await forwarded(connect, port, stream, self._activity):
                await self.send(2 * index + 1, failure.encode())

    async def send(self, channel: int, data: bytes) -> None:
        await self._socket.send(channels.encoded(channel, data, is_text=self._is_text), is_text=self._is_text)


class _Channel:
    """One port's data channel. The protocol cannot close it."""

    def __init__(self, forward: ChannelPortForward, channel: int, received: ByteQueue) -> None:
        self._forward = forward
        self._channel = channel
        self._received = received

    async def read(self) -> bytes:
        return await self._received.get()

    async def write(self, data: bytes) -> None:
        await self._forward.send(self._channel, data)

    def close(self) -> None:
        self._received.discard()


def tunnelled(duplex: Duplex) -> Tunnel:
    """The SPDY connection in a WebSocket."""
    return Tunnel(WebSocket(duplex, is_server=True), duplex)


async def forwarded(connect: Connect, port: int, stream: Stream, activity: Activity) -> str:
    """Join a stream to a port of the Pod, until both sides have closed it; the failure, or ""."""
    try:
        connection = await connect(port)
    except (errors.ApiError, OSError) as error:
        return f"cannot connect to port {port} of the pod: {error}"
    with connection:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_send(stream, connection, activity), name="port-forward to the pod")
                group.create_task(_receive(stream, connection, activity), name="port-forward from the pod")
        except* OSError:
            pass  # one side has broken its connection: the other one sees it closed
    return ""


async def _send(stream: Stream, connection: socket.socket, activity: Activity) -> None:
    loop = asyncio.get_running_loop()
    while data := await stream.read():
        activity.note()
        await loop.sock_sendall(connection, data)
    connection.shutdown(socket.SHUT_WR)


async def _receive(stream: Stream, connection: socket.socket, activity: Activity) -> None:
    loop = asyncio.get_running_loop()
    while data := await loop.sock_recv(connection, _PIECE):
        activity.note()
        await stream.write(data)
    stream.close()


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= len(str(_LARGEST_PORT)) and 0 < int(text) <= _LARGEST_PORT
