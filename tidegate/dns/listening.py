# SPDX-License-Identifier: Apache-2.0
"""The sockets of the DNS part: UDP and TCP, on one port of the gateway's address.

In: a `DnsServer`. Out: queries answered until cancelled. Called by: `dns.py`.
"""

import asyncio
import socket
from collections import Counter
from contextlib import closing, suppress
from typing import Any, NamedTuple

from tidegate.dns.server import DnsServer

CONNECTIONS_OF_ONE, CONNECTIONS = 8, 256
"""TCP connections of one Pod and of all Pods, at most; more are closed."""

IDLE_SECONDS = 10.0
"""How long a TCP connection may wait for a query, and for the client to read."""

_PAUSE_SECONDS = 0.01  # after each query of a connection, so that no Pod keeps the control plane from its work
_FREEBIND = 15  # IP_FREEBIND: the address may come later
_BUFFER = 1 << 20  # bytes of queries that wait in the kernel while the control plane is busy


class DnsSockets(NamedTuple):
    """Bound to the same port. They stay open when the part is restarted, so that no query is refused."""

    udp: socket.socket
    tcp: socket.socket

    @property
    def port(self) -> int:
        return int(self.udp.getsockname()[1])


def bound(address: str, port: int) -> DnsSockets:
    """The sockets, on that port or any other free one."""
    for wanted in (port, 0, 0, 0):
        udp, tcp = _socket(socket.SOCK_DGRAM), _socket(socket.SOCK_STREAM)
        try:
            udp.bind((address, wanted))
            tcp.bind((address, udp.getsockname()[1]))
        except OSError as error:
            udp.close()
            tcp.close()
            failure = error
            continue
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        return DnsSockets(udp, tcp)
    raise failure


async def serve(server: DnsServer, sockets: DnsSockets) -> None:
    """Answer queries until cancelled. `sockets` stay open."""
    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as group:
        udp, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(server, group), sock=sockets.udp.dup())
        with closing(udp):
            streams = _Streams(server)
            async with await asyncio.start_server(streams.serve, sock=sockets.tcp.dup()) as listener:
                await listener.serve_forever()


class _Datagrams(asyncio.DatagramProtocol):
    """Each datagram is a query."""

    def __init__(self, server: DnsServer, group: asyncio.TaskGroup) -> None:
        self._server = server
        self._group = group

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        answer = self._server.kept_answer(data, addr[0])
        if answer is not None:
            self._transport.sendto(answer, addr)
        else:
            self._group.create_task(self._answer(data, addr), name="dns query")

    async def _answer(self, query: bytes, client: tuple[str, int]) -> None:
        answer = await self._server.answer(query, client[0], tcp=False)
        if answer is not None and not self._transport.is_closing():
            self._transport.sendto(answer, client)


class _Streams:
    """Each connection brings one query after the other, each after its length in two bytes."""

    def __init__(self, server: DnsServer) -> None:
        self._server = server
        self._open: Counter[str] = Counter()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = writer.get_extra_info("peername")[0]
        with closing(writer):
            if self._open[client] >= CONNECTIONS_OF_ONE or self._open.total() >= CONNECTIONS:
                return
            self._open[client] += 1
            try:
                with suppress(OSError, EOFError, TimeoutError):
                    await self._exchange(reader, writer, client)
            finally:
                self._open[client] -= 1

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, client: str) -> None:
        while True:
            async with asyncio.timeout(IDLE_SECONDS):
                size = int.from_bytes(await reader.readexactly(2), "big")
                query = await reader.readexactly(size)
            answer = await self._server.answer(query, client, tcp=True)
            if answer is None:
                return
            writer.write(len(answer).to_bytes(2, "big") + answer)
            async with asyncio.timeout(IDLE_SECONDS):
                await writer.drain()
            await asyncio.sleep(_PAUSE_SECONDS)


def _socket(kind: socket.SocketKind) -> socket.socket:
    made = socket.socket(socket.AF_INET, kind)
    made.setblocking(False)
    made.setsockopt(socket.IPPROTO_IP, _FREEBIND, 1)
    if kind is socket.SOCK_STREAM:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return made
