# SPDX-License-Identifier: Apache-2.0
"""The streams of `kubectl exec` and `kubectl attach`, over WebSocket channels or SPDY streams.

In: a connection after its handshake, and the streams that the client has. Out: a `SessionStreams` for the node; at the
end the client gets a Status. Called by: `pod_sessions.py`.
Rule: k8s.io/kubelet pkg/cri/streaming/remotecommand, in all versions of its protocols.
"""

import asyncio
from contextlib import suppress
from typing import Protocol

import msgspec

from tidegate.apiserver.endpoints.session_response import Activity
from tidegate.model.objects import Object
from tidegate.model.sessions import SessionOptions, SessionStreams, TerminalSize
from tidegate.streaming import channels
from tidegate.streaming.byte_queue import ByteQueue
from tidegate.streaming.duplex import Duplex
from tidegate.streaming.spdy import SpdyConnection, SpdyStream, StreamReset
from tidegate.streaming.websocket import WebSocket

WEBSOCKET_PROTOCOLS = (channels.V5, channels.V4, channels.V1, channels.V4_BASE64, channels.V1_BASE64)
SPDY_PROTOCOLS = ("v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io")

OPEN_SECONDS = 30.0
"""Within which a client opens its streams."""

_MOST_SPDY_STREAMS = 8
_LONGEST_SIZE = 1024  # bytes of a terminal's size
_TEXT = (channels.V1_BASE64, channels.V4_BASE64)
_WITH_STATUS = (channels.V5, channels.V4, channels.V4_BASE64)


class SessionTransport(SessionStreams, Protocol):
    """A client's side of a session, and its connection."""

    async def run(self) -> None:
        """Receive until the client leaves."""

    async def opened(self) -> None:
        """Returns once the client is ready for the session. Raises `TimeoutError`."""

    async def finish(self, status: Object) -> None:
        """Send how the session ended."""


class _Sizes:
    """The sizes of a terminal, from JSON objects in any pieces."""

    def __init__(self) -> None:
        self._text = b""
        self._size: TerminalSize | None = None
        self._changed = asyncio.Event()

    def feed(self, data: bytes) -> None:
        *whole, rest = (self._text + data).split(b"}")
        self._text = rest[:_LONGEST_SIZE]
        for text in whole:
            try:
                size = msgspec.json.decode(text + b"}", type=_Size)
            except msgspec.MsgspecError:
                continue
            self._size = TerminalSize(size.Width, size.Height)
            self._changed.set()

    async def next(self) -> TerminalSize:
        """The last size that was not returned yet."""
        while self._size is None:
            self._changed.clear()
            await self._changed.wait()
        size, self._size = self._size, None
        return size


class _Size(msgspec.Struct):
    Width: int
    Height: int


class WebSocketTransport:
    """A session over the channels of a WebSocket."""

    def __init__(self, duplex: Duplex, protocol: str, options: SessionOptions, activity: Activity) -> None:
        self._socket = WebSocket(duplex, is_server=True)
        self._activity = activity
        activity.ping = self._socket.ping
        self._protocol = protocol
        self._is_text = protocol in _TEXT
        self._options = options
        self._stdin = ByteQueue()
        self._sizes = _Sizes()
        if not options.stdin:
            self._stdin.end()

    async def run(self) -> None:
        reader = channels.ChannelReader(is_text=self._is_text)
        while (piece := await self._socket.receive()) is not None:
            try:
                found = reader.feed(piece.data, starts=piece.starts)
            except ValueError:
                self._socket.close(1007)
                return
            if found is not None:
                await self._receive(*found)

    async def _receive(self, channel: int, data: bytes) -> None:
        self._activity.note()
        if channel == channels.STDIN:
            await self._stdin.put(data)
        elif channel == channels.RESIZE:
            self._sizes.feed(data)
        elif channel == channels.CLOSE and self._protocol == channels.V5 and data[0] == channels.STDIN:
            self._stdin.end()

    async def opened(self) -> None:
        """An empty message lets the client know that the session begins."""
        options = self._options
        channel = channels.STDOUT if options.stdout else channels.STDERR if options.stderr else channels.ERROR
        await self._send(channel, b"")

    async def finish(self, status: Object) -> None:
        if self._protocol in _WITH_STATUS:
            await self._send(channels.ERROR, msgspec.json.encode(status))
        elif status["status"] != "Success":
            await self._send(channels.ERROR, str(status["message"]).encode())
        self._socket.close()

    async def read(self) -> bytes:
        return await self._stdin.get()

    async def write(self, data: bytes, *, is_error: bool = False) -> None:
        if self._options.stderr if is_error else self._options.stdout:
            await self._send(channels.STDERR if is_error else channels.STDOUT, data)

    async def resized(self) -> TerminalSize:
        return await self._sizes.next()

    async def _send(self, channel: int, data: bytes) -> None:
        self._activity.note()
        await self._socket.send(channels.encoded(channel, data, is_text=self._is_text), is_text=self._is_text)


class SpdyTransport:
    """A session over the streams of a SPDY connection: the client opens one for each of its files."""

    def __init__(self, duplex: Duplex, protocol: str, options: SessionOptions, activity: Activity) -> None:
        self._connection = SpdyConnection(duplex, is_server=True, most_streams=_MOST_SPDY_STREAMS)
        self._activity = activity
        activity.ping = self._connection.ping
        self._has_status = protocol == SPDY_PROTOCOLS[0]
        resizes = options.tty and protocol in SPDY_PROTOCOLS[:2]
        wanted = {"stdin": options.stdin, "stdout": options.stdout, "stderr": options.stderr, "resize": resizes}
        self._expected = {"error", *(name for name, is_wanted in wanted.items() if is_wanted)}
        self._streams: dict[str, SpdyStream] = {}
        self._complete = asyncio.Event()
        self._sizes = _Sizes()

    async def run(self) -> None:
        sizes = asyncio.create_task(self._read_sizes(), name="terminal sizes")
        try:
            await self._connection.run(self._accept)
        finally:
            sizes.cancel()

    def _accept(self, stream: SpdyStream) -> bool:
        kind = stream.headers.get("streamtype", "")
        if kind not in self._expected or kind in self._streams:
            return False
        self._streams[kind] = stream
        if len(self._streams) == len(self._expected):
            self._complete.set()
        return True

    async def _read_sizes(self) -> None:
        await self._complete.wait()
        if (stream := self._streams.get("resize")) is not None:
            with suppress(StreamReset):
                while data := await stream.read():
                    self._sizes.feed(data)

    async def opened(self) -> None:
        async with asyncio.timeout(OPEN_SECONDS):
            await self._complete.wait()

    async def finish(self, status: Object) -> None:
        for name in ("stdout", "stderr"):
            if (stream := self._streams.get(name)) is not None:
                stream.close()
        if (errors := self._streams.get("error")) is not None:
            if self._has_status:
                await errors.write(msgspec.json.encode(status))
            elif status["status"] != "Success":
                await errors.write(str(status["message"]).encode())
            errors.close()
        await self._connection.drain()

    async def read(self) -> bytes:
        stream = self._streams.get("stdin")
        self._activity.note()
        try:
            return await stream.read() if stream is not None else b""
        except StreamReset:
            return b""

    async def write(self, data: bytes, *, is_error: bool = False) -> None:
        self._activity.note()
        if (stream := self._streams.get("stderr" if is_error else "stdout")) is not None:
            await stream.write(data)

    async def resized(self) -> TerminalSize:
        return await self._sizes.next()
