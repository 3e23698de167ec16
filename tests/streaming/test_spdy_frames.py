# SPDX-License-Identifier: Apache-2.0
"""SPDY frames: every frame survives the wire in any pieces, and no bytes of a peer do more than end its connection."""

import struct
import zlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.streaming.spdy_dictionary import DICTIONARY
from tidegate.streaming.spdy_frames import (
    MOST_CONTROL,
    Frame,
    FrameReader,
    FrameWriter,
    GoAway,
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

IDS = st.integers(0, 2**31 - 1)
NAMES = st.text(st.characters(max_codepoint=255), min_size=1, max_size=20).filter(lambda text: text == text.lower())
HEADERS = st.dictionaries(NAMES, st.text(st.characters(max_codepoint=255), max_size=40), max_size=5)
FRAMES = st.one_of(
    st.builds(StreamData, IDS, st.binary(max_size=200), st.booleans()),
    st.builds(SynStream, IDS, HEADERS, st.booleans(), st.booleans()),
    st.builds(SynReply, IDS, HEADERS, st.booleans()),
    st.builds(StreamHeaders, IDS, HEADERS, st.booleans()),
    st.builds(Reset, IDS, st.integers(1, 11)),
    st.builds(SpdyPing, st.integers(0, 2**32 - 1)),
    st.builds(GoAway, IDS, st.integers(0, 2)),
    st.builds(WindowUpdate, IDS, st.integers(1, 2**31 - 1)),
    st.builds(InitialWindow, st.integers(0, 2**31 - 1)),
)


def read(wire: bytes, sizes: list[int]) -> list[Frame]:
    """The frames of some bytes that arrive in pieces of those sizes."""
    reader, frames, at = FrameReader(), list[Frame](), 0
    for size in [*sizes, len(wire)]:
        frames += reader.feed(wire[at : at + size])
        at += size
    return frames


def joined(frames: list[Frame]) -> list[Frame]:
    """Neighbouring data of one stream as one frame."""
    found: list[Frame] = []
    for frame in frames:
        last = found[-1] if found else None
        if (
            isinstance(last, StreamData)
            and isinstance(frame, StreamData)
            and last.stream == frame.stream
            and not last.fin
        ):
            found[-1] = StreamData(frame.stream, last.data + frame.data, frame.fin)
        else:
            found.append(frame)
    return found


@given(st.lists(FRAMES, max_size=10), st.lists(st.integers(1, 50), max_size=30))
def test_every_frame_survives_the_wire_in_any_pieces(frames: list[Frame], sizes: list[int]) -> None:
    writer = FrameWriter()
    assert joined(read(b"".join(map(writer.encode, frames)), sizes)) == joined(frames)


@given(
    st.lists(FRAMES, min_size=1, max_size=5), st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=9)
)
def test_damaged_frames_are_frames_or_an_error(frames: list[Frame], damages: list[tuple[int, int]]) -> None:
    writer = FrameWriter()
    wire = bytearray(b"".join(map(writer.encode, frames)))
    for place, value in damages:
        wire[place % len(wire)] = value
    with suppress(SpdyError):
        list(FrameReader().feed(bytes(wire)))


@given(st.binary(max_size=300))
def test_any_bytes_are_frames_or_an_error(wire: bytes) -> None:
    with suppress(SpdyError):
        list(FrameReader().feed(wire))


def headers_frame(plain: bytes) -> bytes:
    """A SYN_STREAM with these bytes as its headers."""
    deflate = zlib.compressobj(zdict=DICTIONARY)
    body = struct.pack(">IIxx", 1, 0) + deflate.compress(plain) + deflate.flush(zlib.Z_SYNC_FLUSH)
    return struct.pack(">HHI", 0x8003, 1, len(body)) + body


def block(*texts: bytes, count: int) -> bytes:
    return struct.pack(">I", count) + b"".join(struct.pack(">I", len(text)) + text for text in texts)


@pytest.mark.parametrize(
    ("wire", "message"),
    [
        (headers_frame(block(b"a" * 1_000_000, b"b", count=1)), "too long"),
        (headers_frame(block(b"a", b"b", b"a", b"c", count=2)), "twice"),
        (headers_frame(block(b"A", b"b", count=1)), "lower case"),
        (headers_frame(block(b"", b"b", count=1)), "empty"),
        (headers_frame(block(b"a", b"b", count=2**32 - 1)), "truncated"),
        (headers_frame(struct.pack(">II", 1, 2**31)), "truncated"),
        (headers_frame(block(count=0) + b"more"), "bytes behind"),
        (struct.pack(">HHI", 0x8003, 1, 4) + b"1234", "too short"),
        (struct.pack(">HHI", 0x8003, 1, 12) + b"\0" * 12, "cannot be decompressed"),
        (struct.pack(">HHI", 0x8003, 1, MOST_CONTROL + 1), "control frame of"),
        (struct.pack(">HHI", 0x8002, 6, 4), "another version"),
        (struct.pack(">HHI", 0x8003, 6, 5) + b"12345", "control frame of type 6"),
        (struct.pack(">HHI", 0x8003, 4, 8) + struct.pack(">II", 2**31, 1), "malformed settings"),
    ],
)
def test_a_malformed_frame_is_an_error(wire: bytes, message: str) -> None:
    with pytest.raises(SpdyError, match=message):
        list(FrameReader().feed(wire))


def test_a_frame_of_an_unknown_type_is_ignored() -> None:
    credential = struct.pack(">HHI", 0x8003, 10, 3) + b"abc"
    assert read(credential + FrameWriter().encode(SpdyPing(1)), []) == [SpdyPing(1)]


def test_data_is_returned_before_its_frame_is_complete() -> None:
    reader = FrameReader()
    assert list(reader.feed(struct.pack(">II", 1, 1 << 24 | 2**24 - 1) + b"first")) == [StreamData(1, b"first", False)]
