# SPDX-License-Identifier: Apache-2.0
"""The ports of `tidegate port-forward`, and connections through a SPDY connection in memory."""

import asyncio
import contextlib

import pytest

from tests.streaming.pair import pair
from tidegate.cli import forwarding
from tidegate.cli.commands.port_forward import PortPair, parsed
from tidegate.cli.failures import Misuse
from tidegate.streaming.spdy import SpdyConnection, SpdyStream


@pytest.mark.parametrize(
    ("text", "pair"), [("9000:80", (9000, 80)), ("80", (80, 80)), (":80", (0, 80)), ("0:80", (0, 80))]
)
def test_ports_are_local_and_remote(text: str, pair: PortPair) -> None:
    assert parsed(text) == pair


@pytest.mark.parametrize("text", ["", "a", "1:2:3", "80:", "0", "80:0", "65536", "70000:80", "-1", "80:http"])
def test_other_texts_are_no_ports(text: str) -> None:
    with pytest.raises(Misuse, match=r"is not|a port is a number"):
        parsed(text)


async def test_a_local_connection_reaches_the_port_and_a_failure_is_printed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    here, there = pair()
    client = SpdyConnection(here, is_server=False, most_streams=0)
    server = SpdyConnection(there, is_server=True, most_streams=10)
    streams: list[SpdyStream] = []

    async def answer(data: SpdyStream) -> None:
        error = next(stream for stream in streams if stream.headers["requestid"] == data.headers["requestid"])
        content = await data.read()
        await data.write(b"answer to " + content)
        if data.headers["port"] == "9":
            await error.write(b"nothing listens there")
        for stream in (data, error):
            stream.close()
        await server.drain()

    answers: set[asyncio.Task[None]] = set()

    def accept(stream: SpdyStream) -> bool:
        streams.append(stream)
        if stream.headers["streamtype"] == "data":
            answers.add(asyncio.create_task(answer(stream)))
        return True

    serving = asyncio.create_task(server.run(accept))
    forwarded = asyncio.create_task(forwarding.forward(client, "pod", [PortPair(0, 80), PortPair(0, 9)]))
    await asyncio.sleep(0.1)
    lines = capsys.readouterr().out.splitlines()
    for line, port in zip(lines, (80, 9), strict=True):
        assert line.endswith(f" -> port {port} of pod")
        reader, writer = await asyncio.open_connection("127.0.0.1", int(line.split()[0].rpartition(":")[2]))
        writer.write(b"hello")
        assert await asyncio.wait_for(reader.read(), 10) == b"answer to hello"
        writer.close()
    await asyncio.sleep(0.1)
    assert capsys.readouterr().err == "nothing listens there\n"
    for task in (forwarded, serving):
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
