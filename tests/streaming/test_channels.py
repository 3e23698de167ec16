# SPDX-License-Identifier: Apache-2.0
"""The channels of a WebSocket, in messages and pieces of any size, and a WebSocket between two ends."""

import asyncio
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.streaming.pair import pair
from tidegate.streaming import channels
from tidegate.streaming.channels import ChannelReader
from tidegate.streaming.spdy import SpdyConnection, SpdyStream
from tidegate.streaming.websocket import Tunnel, WebSocket


@given(st.integers(0, 9), st.binary(max_size=100), st.booleans(), st.lists(st.integers(0, 9), max_size=20))
def test_a_message_keeps_its_channel_and_bytes_in_any_pieces(
    channel: int, data: bytes, is_text: bool, sizes: list[int]
) -> None:
    message = channels.encoded(channel, data, is_text=is_text)
    reader, content, at = ChannelReader(is_text=is_text), b"", 0
    for size in [*sizes, len(message)]:
        found = reader.feed(message[at : at + size], starts=at == 0)
        at += size
        if found is not None:
            assert found[0] == channel
            content += found[1]
    assert content == data


def test_malformed_base64_is_an_error() -> None:
    with pytest.raises(ValueError, match="malformed base64"):
        ChannelReader(is_text=True).feed(b"1####", starts=True)


async def test_a_websocket_carries_messages_and_ends_with_its_peer() -> None:
    one, other = pair()
    client, server = WebSocket(one, is_server=False), WebSocket(other, is_server=True)
    await client.send(b"\0binary")
    await client.send("text ä".encode(), is_text=True)
    assert await server.receive() == (b"\0binary", True, True)
    assert await server.receive() == ("text ä".encode(), True, True)
    server.ping()
    server.close()
    await other.drain()
    assert await asyncio.wait_for(client.receive(), 5) is None
    with pytest.raises(ConnectionError):
        await client.send(b"more")


@pytest.mark.parametrize(
    "wire", [b"\x81\x05hello", b"\xf1\x80\0\0\0\0", b"\x89\xfe\xff\xff\0\0\0\0", b"\x8f\x80\0\0\0\0"]
)
async def test_malformed_frames_end_a_websocket(wire: bytes) -> None:
    """Not masked; reserved bits; a ping that is too long; an unknown type."""
    one, other = pair()
    server = WebSocket(other, is_server=True)
    one.write(wire)
    await one.drain()
    assert await asyncio.wait_for(server.receive(), 5) is None
    await other.drain()
    assert (await one.read())[0] == 0x88  # a close frame


async def test_any_bytes_end_a_websocket_or_are_messages() -> None:
    chance = random.Random(7)
    for _ in range(200):
        one, other = pair()
        one.write(chance.randbytes(chance.randrange(1, 200)))
        await one.drain()
        one.close()
        server = WebSocket(other, is_server=True)
        async with asyncio.timeout(5):
            while await server.receive() is not None:
                pass


async def test_spdy_passes_through_a_tunnel() -> None:
    one, other = pair()
    client = SpdyConnection(Tunnel(WebSocket(one, is_server=False), one), is_server=False, most_streams=1)
    server = SpdyConnection(Tunnel(WebSocket(other, is_server=True), other), is_server=True, most_streams=1)
    accepted: list[SpdyStream] = []

    def accept(stream: SpdyStream) -> bool:
        accepted.append(stream)
        return True

    tasks = [
        asyncio.create_task(client.run(lambda _: False)),
        asyncio.create_task(server.run(accept)),
    ]
    stream = await asyncio.wait_for(client.open({"streamtype": "data"}), 5)
    content = random.Random(1).randbytes(300_000)
    writing = asyncio.create_task(stream.write(content))
    received = b""
    while len(received) < len(content):
        received += await asyncio.wait_for(accepted[0].read(), 5)
    assert received == content
    await writing
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
