# SPDX-License-Identifier: Apache-2.0
"""SPDY/3.1: many streams over one connection, for either side.

In: a `Duplex`. Out: the peer's new streams, by a callback of `run`; streams of our own (`open`). Called by: the API's
sessions (as the server) and `tidegate port-forward` (as the client).

Flow control: kubectl's library knows no windows. It neither waits for one nor updates one. So a window limits us only
once the peer has sent a frame about windows. A reader that is slow here stops the reading of the whole connection
(`ByteQueue`), and TCP slows the peer down. A peer that respects windows is never stopped.

| limit | beyond it |
| --- | --- |
| `most_streams` open at a time | the stream is refused |
| a frame that is malformed or has no meaning | `SpdyError`, after a GOAWAY |
"""

import asyncio
from collections.abc import Callable

from tidegate.streaming.byte_queue import ByteQueue
from tidegate.streaming.duplex import Answers, Duplex
from tidegate.streaming.spdy_frames import (
    CANCEL,
    INVALID_STREAM,
    PROTOCOL_ERROR,
    REFUSED_STREAM,
    Frame,
    FrameReader,
    FrameWriter,
    GoAway,
    Headers,
    InitialWindow,
    Reset,
    SpdyError,
    SpdyPing,
    StreamData,
    StreamHeaders,
    SynReply,
    SynStream,
    WindowUpdate,
)

_INITIAL_WINDOW = 64 * 1024
_LARGEST_WINDOW = 2**31 - 1
_UPDATE_AFTER = 32 * 1024  # consumed bytes
_PIECE = 32 * 1024  # the data of a frame


class StreamReset(ConnectionError):
    """The stream or its connection was ended by the peer."""


class SpdyStream:
    """One stream of a connection."""

    def __init__(self, connection: "SpdyConnection", number: int, headers: Headers, window: int) -> None:
        self.number = number
        self.headers = headers
        self.window = window
        self.received = ByteQueue()
        self.replied = asyncio.Event()
        self.may_send = asyncio.Event()
        self.is_closed = False  # we send nothing any more
        self.is_finished = False  # the peer sends nothing any more
        self.was_reset = False
        self.was_accepted = False  # by the peer; it may be closed since
        self._connection = connection
        self._consumed = 0
        self._is_cut_off = False  # it was reset before its end was received

    async def read(self) -> bytes:
        """The next bytes; b"" at the end. Raises `StreamReset`."""
        data = await self.received.get()
        if not data and self._is_cut_off:
            raise StreamReset("the stream is closed")
        self._consumed += len(data)
        if self._consumed >= _UPDATE_AFTER and not self.is_finished:
            self._connection.send(WindowUpdate(self.number, self._consumed))
            self._consumed = 0
        return data

    async def write(self, data: bytes) -> None:
        """Send bytes. Raises `StreamReset`."""
        left = memoryview(data)
        while left:
            while self._connection.has_windows and self.window <= 0 and not self.was_reset:
                self.may_send.clear()
                await self.may_send.wait()
            if self.was_reset or self.is_closed:
                raise StreamReset("the stream is closed")
            size = min(_PIECE, self.window) if self._connection.has_windows else _PIECE
            piece = bytes(left[:size])
            left = left[size:]
            self.window -= len(piece)
            self._connection.send(StreamData(self.number, piece, fin=False))
            await self._connection.drain()

    def close(self) -> None:
        """Send nothing any more. The peer may still send."""
        if not self.is_closed and not self.was_reset:
            self._connection.send(StreamData(self.number, b"", fin=True))
            self.is_closed = True
            self._connection.forget_finished(self)

    def reset(self, status: int = CANCEL) -> None:
        """End it in both directions."""
        if not self.was_reset and not (self.is_closed and self.is_finished):
            self._connection.send(Reset(self.number, status))
            self._connection.drop(self)

    def abort(self) -> None:
        """It has ended in both directions."""
        self._is_cut_off = not self.is_finished
        self.was_reset = self.is_finished = self.is_closed = True
        self.received.end()
        self.may_send.set()
        self.replied.set()


class SpdyConnection:
    """One connection. `has_windows`: the peer has said how much it wants to receive."""

    def __init__(self, duplex: Duplex, *, is_server: bool, most_streams: int) -> None:
        self.has_windows = False
        self._duplex = duplex
        self._reader = FrameReader()
        self._writer = FrameWriter()
        self._is_server = is_server
        self._most_streams = most_streams
        self._streams: dict[int, SpdyStream] = {}
        self._last_of_peer = 0
        self._next = 2 if is_server else 1
        self._next_ping = self._next
        self._window = _INITIAL_WINDOW
        self._has_ended = False
        self._answers = Answers()

    async def run(self, accept: Callable[[SpdyStream], bool]) -> None:
        """Handle the peer's frames until it closes the connection. `accept`: takes a new stream, or returns False.
        Raises `SpdyError`."""
        try:
            while received := await self._duplex.read():
                for frame in self._reader.feed(received):
                    await self._handle(frame, accept)
                await self._answers.drained(self._duplex)
        except SpdyError:
            self.send(GoAway(self._last_of_peer, PROTOCOL_ERROR))
            raise
        except ConnectionError:
            return
        finally:
            self._has_ended = True
            for stream in list(self._streams.values()):
                self.drop(stream)

    async def open(self, headers: Headers) -> SpdyStream:
        """Open a stream; returns once the peer has accepted it. Raises `StreamReset`."""
        if self._has_ended:
            raise StreamReset("the connection is closed")
        stream = SpdyStream(self, self._next, headers, self._window)
        self._streams[self._next] = stream
        self._next += 2
        self.send(SynStream(stream.number, headers, fin=False))
        await self.drain()
        await stream.replied.wait()
        if not stream.was_accepted:
            raise StreamReset("the peer refuses the stream")
        return stream

    def ping(self) -> None:
        """Find out whether the peer still exists: a write to a closed connection fails."""
        self.send(SpdyPing(self._next_ping))
        self._next_ping = (self._next_ping + 2) % 2**32

    def send(self, frame: Frame) -> None:
        if not self._has_ended or isinstance(frame, GoAway):
            self._duplex.write(self._writer.encode(frame))

    async def drain(self) -> None:
        await self._duplex.drain()

    def drop(self, stream: SpdyStream) -> None:
        self._streams.pop(stream.number, None)
        stream.abort()

    def forget_finished(self, stream: SpdyStream) -> None:
        """Forget a stream that both sides have closed."""
        if stream.is_closed and stream.is_finished:
            self._streams.pop(stream.number, None)

    # The peer's frames

    async def _handle(self, frame: Frame, accept: Callable[[SpdyStream], bool]) -> None:
        match frame:
            case StreamData(number, data, fin):
                await self._receive(number, data, fin)
            case SynStream():
                self._accept(frame, accept)
            case SynReply(number, _, fin) | StreamHeaders(number, _, fin):
                if (stream := self._streams.get(number)) is not None:
                    stream.was_accepted = True
                    stream.replied.set()
                    self._finish(stream, fin)
            case Reset(number, _):
                if (stream := self._streams.get(number)) is not None:
                    self.drop(stream)
            case SpdyPing(number):
                if number % 2 == self._is_server:  # not the answer to one of ours
                    self._answer(frame)
            case WindowUpdate() | InitialWindow():
                self._widen(frame)

    def _answer(self, frame: Frame) -> None:
        self.send(frame)
        self._answers.add()

    def _accept(self, frame: SynStream, accept: Callable[[SpdyStream], bool]) -> None:
        if frame.stream % 2 != self._is_server or frame.stream <= self._last_of_peer:
            raise SpdyError(f"stream {frame.stream} has the number of another stream or side")
        self._last_of_peer = frame.stream
        stream = SpdyStream(self, frame.stream, frame.headers, self._window)
        if len(self._streams) >= self._most_streams or not accept(stream):
            self._answer(Reset(frame.stream, REFUSED_STREAM))
            stream.abort()
            return
        self._streams[frame.stream] = stream
        stream.is_closed = frame.unidirectional
        self._answer(SynReply(frame.stream, {}, fin=frame.unidirectional))
        self._finish(stream, frame.fin)

    async def _receive(self, number: int, data: bytes, fin: bool) -> None:
        stream = self._streams.get(number)
        if stream is None:
            of_peer = number % 2 == self._is_server
            if number > (self._last_of_peer if of_peer else self._next):
                raise SpdyError(f"data of stream {number}, which does not exist")
            return  # we have closed it, which the peer may not know yet
        if stream.is_finished:
            self._answer(Reset(number, INVALID_STREAM))
            self.drop(stream)
            return
        await stream.received.put(data)
        self._finish(stream, fin)

    def _finish(self, stream: SpdyStream, fin: bool) -> None:
        if fin:
            stream.is_finished = True
            stream.received.end()
            self.forget_finished(stream)

    def _widen(self, frame: WindowUpdate | InitialWindow) -> None:
        self.has_windows = True
        if isinstance(frame, WindowUpdate):
            stream = self._streams.get(frame.stream)
            widened, size = ([stream] if stream is not None else []), frame.size
        else:
            widened, size = list(self._streams.values()), frame.size - self._window
            self._window = frame.size
        for stream in widened:
            stream.window += size
            if stream.window > _LARGEST_WINDOW:
                raise SpdyError("a window that is too large")
            stream.may_send.set()
