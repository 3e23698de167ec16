# SPDX-License-Identifier: Apache-2.0
"""The frames of SPDY/3.1, as bytes and as records. Pure, but for the compression of headers, which depends on all
headers before.

In: received bytes, in any pieces. Out: frames (`FrameReader`); the bytes of a frame (`FrameWriter`). A frame of data is
returned in the pieces in which it arrives. Called by: `spdy.py`.

| limit | beyond it |
| --- | --- |
| `MOST_CONTROL`, the bytes of a control frame | `SpdyError` |
| `MOST_HEADERS`, the bytes of its headers after decompression | `SpdyError` |

Any other malformed frame is a `SpdyError` too: the connection ends, because the state of the compression is lost.
"""

import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from tidegate.streaming.spdy_dictionary import DICTIONARY

MOST_CONTROL = 16 * 1024
MOST_HEADERS = 16 * 1024
PROTOCOL_ERROR, INVALID_STREAM, REFUSED_STREAM, CANCEL = 1, 2, 3, 5
"""Statuses of a `Reset`."""

_VERSION = 3
_FIN, _UNIDIRECTIONAL = 0x01, 0x02
_HEAD = 8
_STREAM = 0x7FFFFFFF
_SYN_STREAM, _SYN_REPLY, _RESET, _SETTINGS, _PING, _GOAWAY, _HEADERS, _WINDOW = 1, 2, 3, 4, 6, 7, 8, 9
_INITIAL_WINDOW = 7  # the number of a setting
_LENGTHS = {_RESET: 8, _PING: 4, _GOAWAY: 8, _WINDOW: 8}

Headers = Mapping[str, str]


class SpdyError(Exception):
    """The peer does not keep to the protocol."""


class StreamData(NamedTuple):
    """A piece of a stream. `fin`: the last one."""

    stream: int
    data: bytes
    fin: bool


class SynStream(NamedTuple):
    """SYN_STREAM. `fin`: the sender sends nothing else; `unidirectional`: the receiver sends nothing."""

    stream: int
    headers: Headers
    fin: bool
    unidirectional: bool = False


class SynReply(NamedTuple):
    """SYN_REPLY."""

    stream: int
    headers: Headers
    fin: bool


class StreamHeaders(NamedTuple):
    """HEADERS."""

    stream: int
    headers: Headers
    fin: bool


class Reset(NamedTuple):
    """RST_STREAM."""

    stream: int
    status: int


class SpdyPing(NamedTuple):
    """PING. The side that it did not come from echoes it."""

    number: int


class GoAway(NamedTuple):
    """GOAWAY: the sender opens and accepts no stream any more."""

    last_stream: int
    status: int = 0


class WindowUpdate(NamedTuple):
    """WINDOW_UPDATE: the sender has consumed that many bytes of a stream."""

    stream: int
    size: int


class InitialWindow(NamedTuple):
    """The only setting (of SETTINGS) that matters here."""

    size: int


Frame = StreamData | SynStream | SynReply | StreamHeaders | Reset | SpdyPing | GoAway | WindowUpdate | InitialWindow


class FrameReader:
    """The frames of one peer."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._data: tuple[int, int, bool] | None = None  # of the frame that arrives: stream, bytes left, fin
        self._inflate = zlib.decompressobj(zdict=DICTIONARY)

    def feed(self, received: bytes) -> Iterator[Frame]:
        """The frames that are complete now, and the pieces of data. Raises `SpdyError`."""
        self._buffer += received
        while (frame := self._next()) is not None:
            if not isinstance(frame, _Ignored):
                yield frame

    def _next(self) -> "Frame | _Ignored | None":
        if self._data is not None:
            return self._piece(*self._data)
        if len(self._buffer) < _HEAD:
            return None
        first, second = struct.unpack_from(">II", self._buffer)
        flags, length = second >> 24, second & 0xFFFFFF
        if not first >> 31:
            del self._buffer[:_HEAD]
            return self._piece(first, length, bool(flags & _FIN))
        if first >> 16 & 0x7FFF != _VERSION:
            raise SpdyError("another version than SPDY/3")
        if length > MOST_CONTROL:
            raise SpdyError(f"a control frame of {length} bytes")
        if len(self._buffer) < _HEAD + length:
            return None
        body = bytes(self._buffer[_HEAD : _HEAD + length])
        del self._buffer[: _HEAD + length]
        return self._control(first & 0xFFFF, flags, body)

    def _piece(self, stream: int, left: int, fin: bool) -> StreamData | None:
        if left and not self._buffer:
            self._data = stream, left, fin
            return None
        data = bytes(self._buffer[:left])
        del self._buffer[:left]
        left -= len(data)
        self._data = (stream, left, fin) if left else None
        return StreamData(stream, data, fin and not left)

    def _control(self, kind: int, flags: int, body: bytes) -> "Frame | _Ignored":
        if kind in _LENGTHS and len(body) != _LENGTHS[kind]:
            raise SpdyError(f"a control frame of type {kind} with {len(body)} bytes")
        if kind in (_SYN_STREAM, _SYN_REPLY, _HEADERS):
            return self._with_headers(kind, flags, body)
        if kind == _SETTINGS:
            return _initial_window(body)
        if kind == _PING:
            return SpdyPing(*struct.unpack(">I", body))
        if kind not in _LENGTHS:
            return _Ignored()
        first, second = struct.unpack(">II", body)
        first, second = first & _STREAM, second & _STREAM
        if kind == _WINDOW:
            return WindowUpdate(first, second)
        return Reset(first, second) if kind == _RESET else GoAway(first, second)

    def _with_headers(self, kind: int, flags: int, body: bytes) -> Frame:
        start = 10 if kind == _SYN_STREAM else 4
        if len(body) < start:
            raise SpdyError("a frame that is too short for its headers")
        stream = struct.unpack_from(">I", body)[0] & _STREAM
        headers, fin = self._headers(body[start:]), bool(flags & _FIN)
        if kind == _SYN_STREAM:
            return SynStream(stream, headers, fin, bool(flags & _UNIDIRECTIONAL))
        return SynReply(stream, headers, fin) if kind == _SYN_REPLY else StreamHeaders(stream, headers, fin)

    def _headers(self, block: bytes) -> Headers:
        try:
            plain = self._inflate.decompress(block, MOST_HEADERS)
        except zlib.error as error:
            raise SpdyError(f"headers that cannot be decompressed: {error}") from error
        if self._inflate.unconsumed_tail or self._inflate.eof:
            raise SpdyError("headers that are too long, or that end the compression")
        return _parsed(plain)


class _Ignored:
    """A frame without a meaning for us."""


def _initial_window(body: bytes) -> "InitialWindow | _Ignored":
    if len(body) < 4 or (len(body) - 4) % 8 or struct.unpack_from(">I", body)[0] != (len(body) - 4) // 8:
        raise SpdyError("malformed settings")
    for number, value in struct.iter_unpack(">II", body[4:]):
        if number & 0xFFFFFF == _INITIAL_WINDOW:
            return InitialWindow(value)
    return _Ignored()


def _parsed(block: bytes) -> Headers:
    """Names and values, each with its length before it. Values of one name are separated by NUL."""
    at = 0

    def number() -> int:
        nonlocal at
        if len(block) < at + 4:
            raise SpdyError("truncated headers")
        at += 4
        return int(struct.unpack_from(">I", block, at - 4)[0])

    def text() -> str:
        nonlocal at
        length = number()
        if len(block) < at + length:
            raise SpdyError("truncated headers")
        at += length
        return block[at - length : at].decode("latin-1")

    headers: dict[str, str] = {}
    for _ in range(number()):
        name, value = text(), text()
        if not name or name != name.lower() or name in headers:
            raise SpdyError(f"the header {name!r} is empty, twice there, or not in lower case")
        headers[name] = value
    if at != len(block):
        raise SpdyError("bytes behind the headers")
    return headers


class FrameWriter:
    """The bytes of frames for one peer. They have to be sent in the order in which they are made."""

    def __init__(self) -> None:
        self._deflate = zlib.compressobj(zdict=DICTIONARY)

    def encode(self, frame: Frame) -> bytes:
        match frame:
            case StreamData(stream, data, fin):
                return struct.pack(">II", stream, int(fin) << 24 | len(data)) + data
            case SynStream(stream, headers, fin, unidirectional):
                flags = _FIN * fin | _UNIDIRECTIONAL * unidirectional
                return _control(_SYN_STREAM, flags, struct.pack(">IIxx", stream, 0) + self._block(headers))
            case SynReply(stream, headers, fin):
                return _control(_SYN_REPLY, _FIN * fin, struct.pack(">I", stream) + self._block(headers))
            case StreamHeaders(stream, headers, fin):
                return _control(_HEADERS, _FIN * fin, struct.pack(">I", stream) + self._block(headers))
            case Reset(first, second):
                return _control(_RESET, 0, struct.pack(">II", first, second))
            case GoAway(first, second):
                return _control(_GOAWAY, 0, struct.pack(">II", first, second))
            case WindowUpdate(first, second):
                return _control(_WINDOW, 0, struct.pack(">II", first, second))
            case InitialWindow(size):
                return _control(_SETTINGS, 0, struct.pack(">III", 1, _INITIAL_WINDOW, size))
            case SpdyPing(number):
                return _control(_PING, 0, struct.pack(">I", number))

    def _block(self, headers: Headers) -> bytes:
        parts = [struct.pack(">I", len(headers))]
        for text in (text for item in headers.items() for text in item):
            parts += [struct.pack(">I", len(text)), text.encode("latin-1")]
        return self._deflate.compress(b"".join(parts)) + self._deflate.flush(zlib.Z_SYNC_FLUSH)


def _control(kind: int, flags: int, body: bytes) -> bytes:
    return struct.pack(">HHI", 0x8000 | _VERSION, kind, flags << 24 | len(body)) + body
