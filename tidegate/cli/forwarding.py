# SPDX-License-Identifier: Apache-2.0
"""Connections to ports of this machine, carried to ports of an instance.

In: a SPDY connection to `pods/portforward`, pairs of ports. Out: listeners on loopback until the connection ends. Each
accepted connection has two streams: its data, and the failure. Called by: `tidegate port-forward`.
"""

import asyncio
import itertools
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from functools import partial

import click

from tidegate.cli import failures
from tidegate.kit import addresses
from tidegate.streaming.spdy import SpdyConnection, SpdyStream, StreamReset

_PIECE = 32 * 1024


async def forward(connection: SpdyConnection, pod: str, pairs: Sequence[tuple[int, int]]) -> None:
    """Returns when the connection has ended. Raises `OSError` if a port of this machine is taken."""
    numbers = itertools.count()
    async with AsyncExitStack() as stack:
        for local, remote in pairs:
            port = local
            for address in addresses.loopback():
                handle = partial(_serve, connection, remote, numbers)
                server = await asyncio.start_server(handle, address, port)
                stack.callback(server.close)
                port = server.sockets[0].getsockname()[1]
            click.echo(f"127.0.0.1:{port} -> port {remote} of {pod}")
        await connection.run(lambda _: False)


async def _serve(
    connection: SpdyConnection,
    port: int,
    numbers: "itertools.count[int]",
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    """One connection of a local program."""
    headers = {"port": str(port), "requestid": str(next(numbers))}
    data: SpdyStream | None = None
    try:
        error = await connection.open({**headers, "streamtype": "error"})
        error.close()
        data = await connection.open({**headers, "streamtype": "data"})
        sending = asyncio.create_task(_send(reader, data))
        try:
            await _receive(data, writer)
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
        if failure := await _all(error):
            failures.remark(failure.decode(errors="replace"))
    except (OSError, StreamReset):
        pass  # one side has closed its connection
    finally:
        if data is not None:
            data.reset()
        writer.close()


async def _send(reader: asyncio.StreamReader, data: SpdyStream) -> None:
    with suppress(OSError):
        while piece := await reader.read(_PIECE):
            await data.write(piece)
        data.close()


async def _receive(data: SpdyStream, writer: asyncio.StreamWriter) -> None:
    while piece := await data.read():
        writer.write(piece)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()


async def _all(stream: SpdyStream) -> bytes:
    content = b""
    while piece := await stream.read():
        content += piece
    return content
