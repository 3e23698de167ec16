# SPDX-License-Identifier: Apache-2.0
"""SPDY connections: streams in both directions, their ends, their bounds, and peers that break the rules."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from tests.streaming.pair import Pipe, pair
from tidegate.kit.clock import settle
from tidegate.streaming.byte_queue import MOST_BYTES
from tidegate.streaming.spdy import SpdyConnection, SpdyStream, StreamReset
from tidegate.streaming.spdy_frames import (
    Frame,
    FrameReader,
    FrameWriter,
    GoAway,
    InitialWindow,
    Reset,
    SpdyError,
    SpdyPing,
    StreamData,
    SynReply,
    SynStream,
    WindowUpdate,
)


@dataclass
class Ends:
    """A client and a server; `accepted`: the server's streams."""

    client: SpdyConnection
    server: SpdyConnection
    pipes: tuple[Pipe, Pipe]
    accepted: list[SpdyStream] = field(default_factory=list)

    async def open(self, **headers: str) -> tuple[SpdyStream, SpdyStream]:
        ours = await self.client.open(headers)
        return ours, self.accepted[-1]


@asynccontextmanager
async def connected(most_streams: int = 10, accept: Callable[[SpdyStream], bool] | None = None) -> AsyncIterator[Ends]:
    pipes = pair()
    client = SpdyConnection(pipes[0], is_server=False, most_streams=0)
    server = SpdyConnection(pipes[1], is_server=True, most_streams=most_streams)
    ends = Ends(client, server, pipes)

    def take(stream: SpdyStream) -> bool:
        ends.accepted.append(stream)
        return accept is None or accept(stream)

    tasks = [asyncio.create_task(client.run(lambda _: False)), asyncio.create_task(server.run(take))]
    try:
        yield ends
    finally:
        pipes[0].close()
        pipes[1].close()
        await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 10)


async def read_all(stream: SpdyStream) -> bytes:
    content = b""
    while data := await stream.read():
        content += data
    return content


async def test_a_stream_carries_bytes_both_ways_and_each_side_closes_it() -> None:
    async with connected() as ends:
        ours, theirs = await ends.open(streamtype="data", port="80")
        assert theirs.headers == {"streamtype": "data", "port": "80"}
        content = random.Random(1).randbytes(3 * MOST_BYTES)

        async def send(stream: SpdyStream) -> None:
            await stream.write(content)
            stream.close()
            await ends.client.drain()
            await ends.server.drain()

        _, _, there, back = await asyncio.gather(send(ours), send(theirs), read_all(theirs), read_all(ours))
        assert there == back == content
        with pytest.raises(StreamReset):
            await ours.write(b"more")


async def test_streams_beyond_the_limit_or_not_accepted_are_refused() -> None:
    async with connected(2, lambda stream: stream.headers["name"] != "bad") as ends:
        with pytest.raises(StreamReset):
            await ends.open(name="bad")
        first, _ = await ends.open(name="first")
        await ends.open(name="second")
        with pytest.raises(StreamReset):
            await ends.open(name="third")
        first.reset()
        await ends.open(name="third")


async def test_a_reset_ends_both_directions() -> None:
    async with connected() as ends:
        ours, theirs = await ends.open()
        theirs.reset()
        await ends.server.drain()
        with pytest.raises(StreamReset):
            await ours.read()
        with pytest.raises(StreamReset):
            await ours.write(b"x")


async def test_a_lost_connection_ends_all_streams() -> None:
    async with connected() as ends:
        ours, theirs = await ends.open()
        await ours.write(b"last words")
        await settle()
        ends.pipes[0].close()
        ends.pipes[1].close()
        assert await theirs.read() == b"last words"
        for stream in (ours, theirs):
            with pytest.raises(StreamReset):
                await stream.read()
        with pytest.raises(StreamReset):
            await ends.client.open({})


async def test_a_sender_waits_for_a_slow_reader() -> None:
    async with connected() as ends:
        ours, theirs = await ends.open()
        sending = asyncio.create_task(ours.write(bytes(20 * MOST_BYTES)))
        await settle()
        assert not sending.done()
        assert theirs.received.size < 2 * MOST_BYTES
        received = 0
        while received < 20 * MOST_BYTES:
            received += len(await theirs.read())
        await sending


class Peer:
    """A peer of frames, which keeps to no rule, and a connection of ours."""

    def __init__(self, *, most_streams: int = 10) -> None:
        self.pipe, ours = pair()
        self.connection = SpdyConnection(ours, is_server=True, most_streams=most_streams)
        self.streams: list[SpdyStream] = []
        self.task = asyncio.create_task(self.connection.run(self._accept))
        self._reader = FrameReader()
        self._writer = FrameWriter()

    def _accept(self, stream: SpdyStream) -> bool:
        self.streams.append(stream)
        return True

    async def send(self, *frames: Frame) -> None:
        for frame in frames:
            self.pipe.write(self._writer.encode(frame))
        await self.pipe.drain()

    async def received(self) -> list[Frame]:
        return list(self._reader.feed(await asyncio.wait_for(self.pipe.read(), 5)))


@pytest.mark.parametrize(
    "frames",
    [
        [SynStream(2, {}, fin=False)],
        [SynStream(1, {}, fin=False), SynStream(1, {}, fin=False)],
        [SynStream(5, {}, fin=False), SynStream(3, {}, fin=False)],
        [StreamData(9, b"x", fin=False)],
        [SynStream(1, {}, fin=False), WindowUpdate(1, 2**31 - 1)],
    ],
)
async def test_a_peer_that_breaks_the_rules_is_sent_away(frames: list[Frame]) -> None:
    peer = Peer()
    await peer.send(*frames)
    with pytest.raises(SpdyError):
        await asyncio.wait_for(peer.task, 5)
    assert all(stream.was_reset for stream in peer.streams)
    await peer.connection.drain()
    assert isinstance((await peer.received())[-1], GoAway)


async def test_a_ping_is_echoed_and_the_echo_of_our_own_is_not() -> None:
    peer = Peer()
    await peer.send(SpdyPing(2), SpdyPing(1))
    assert await peer.received() == [SpdyPing(1)]
    peer.task.cancel()


async def test_data_behind_the_end_of_a_stream_resets_it() -> None:
    peer = Peer()
    await peer.send(SynStream(1, {}, fin=True), StreamData(1, b"x", fin=False), StreamData(1, b"y", fin=False))
    assert await peer.received() == [SynReply(1, {}, fin=False), Reset(1, 2)]
    peer.task.cancel()


async def test_a_window_limits_the_sender_once_the_peer_has_sent_one() -> None:
    peer = Peer()
    await peer.send(InitialWindow(10), SynStream(1, {}, fin=False))
    assert await peer.received() == [SynReply(1, {}, fin=False)]
    writing = asyncio.create_task(peer.streams[0].write(b"a" * 25))
    assert await peer.received() == [StreamData(1, b"a" * 10, fin=False)]
    await settle()
    assert not writing.done()
    await peer.send(WindowUpdate(1, 5))
    assert await peer.received() == [StreamData(1, b"a" * 5, fin=False)]
    await peer.send(Reset(1, 5))
    with pytest.raises(StreamReset):
        await writing
    peer.task.cancel()


async def test_a_reader_gives_the_window_back() -> None:
    peer = Peer()
    await peer.send(SynStream(1, {}, fin=False), StreamData(1, b"a" * 40_000, fin=False))
    await peer.received()
    assert len(await peer.streams[0].read()) == 40_000
    await peer.connection.drain()
    assert await peer.received() == [WindowUpdate(1, 40_000)]
    peer.task.cancel()


async def test_frames_for_streams_that_have_ended_are_ignored() -> None:
    peer = Peer()
    await peer.send(SynStream(1, {}, fin=False))
    await settle()
    peer.streams[0].reset()
    await peer.send(
        StreamData(1, b"late", fin=True), Reset(1, 5), WindowUpdate(1, 9), SynReply(1, {}, fin=True), SpdyPing(7)
    )
    frames = await peer.received()
    while SpdyPing(7) not in frames:
        frames += await peer.received()
    assert not peer.task.done()
    peer.task.cancel()
