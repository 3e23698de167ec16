# SPDX-License-Identifier: Apache-2.0
"""Limits of clients without the token: connections, time, memory."""

import asyncio
import os
import resource
import ssl
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from harness.apiserver import Served, served
from tidegate.apiserver.endpoints import acceptor, connection

HEALTH = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"
POST = b"POST /api/v1/namespaces/default/configmaps HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"


class Peer:
    """One connection to the server, with or without TLS."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def head(self) -> bytes:
        return await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 20)

    async def is_closed(self) -> bool:
        """Return once the server has closed the connection, whatever it sent before."""
        with suppress(ConnectionError):
            await asyncio.wait_for(self.reader.read(), 20)
        return True


@asynccontextmanager
async def peers(server: Served, number: int = 1, *, tls: bool = True) -> AsyncIterator[list[Peer]]:
    trust = ssl.create_default_context(cadata=server.identity.authority) if tls else None
    port = httpx.URL(server.url).port
    made = [Peer(*await asyncio.open_connection("127.0.0.1", port, ssl=trust)) for _ in range(number)]
    try:
        yield made
    finally:
        for peer in made:
            peer.writer.transport.abort()


def token(server: Served) -> bytes:
    return f"authorization: Bearer {server.identity.token}\r\n".encode()


async def test_the_oldest_connections_without_a_handshake_make_room_for_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acceptor, "MOST_UNAUTHENTICATED", 4)
    async with served(tmp_path) as server, peers(server, 20, tls=False) as idle:
        async with server.client() as client:
            assert (await client.get("/api")).status_code == 200

        assert all([await peer.is_closed() for peer in idle[:15]])


async def test_a_client_with_the_token_is_not_closed_for_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acceptor, "MOST_UNAUTHENTICATED", 2)
    async with served(tmp_path) as server, peers(server) as (client,):
        client.send(b"GET /api/v1/configmaps?watch=true HTTP/1.1\r\nhost: x\r\n" + token(server) + b"\r\n")
        assert b" 200 " in await client.head()

        async with peers(server, 10, tls=False) as idle:
            assert all([await peer.is_closed() for peer in idle[:8]])
            async with server.client() as another:
                await another.post("/api/v1/namespaces/default/configmaps", json={"metadata": {"name": "seen"}})
            assert b'"seen"' in await client.reader.readuntil(b'seen"')


async def test_the_number_of_connections_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acceptor, "MOST_CONNECTIONS", 2)
    async with served(tmp_path) as server, peers(server, 2) as known:
        for peer in known:
            peer.send(b"GET /api HTTP/1.1\r\nhost: x\r\n" + token(server) + b"\r\n")
            assert b" 200 " in await peer.head()

        async with peers(server, tls=False) as (beyond,):
            assert await beyond.is_closed()


@contextmanager
def files(most: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


CROWD = """
import socket, sys
port = int(sys.stdin.readline())
crowd = [socket.create_connection(("127.0.0.1", port)) for _ in range(500)]
print("all are here", flush=True)
sys.stdin.read()
"""


async def test_many_connections_leave_files_for_everything_else(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        crowd = await asyncio.create_subprocess_exec(
            sys.executable, "-c", CROWD, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        assert crowd.stdin is not None
        assert crowd.stdout is not None
        with files(400):
            crowd.stdin.write(f"{httpx.URL(server.url).port}\n".encode())
            assert await crowd.stdout.readline() == b"all are here\n"

            async with server.client() as client:
                assert (await client.get("/api")).status_code == 200
            others = [os.open("/dev/null", os.O_RDONLY) for _ in range(100)]

            for file in others:
                os.close(file)
        await crowd.communicate(b"")


async def test_a_missing_handshake_closes_the_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acceptor, "HANDSHAKE_SECONDS", 0.05)
    async with served(tmp_path) as server, peers(server, tls=False) as (silent,):
        assert await silent.is_closed()


@pytest.mark.parametrize("sent", [b"", HEALTH[:20], HEALTH + HEALTH[:20]], ids=["nothing", "half", "one and a half"])
async def test_an_incomplete_head_closes_the_connection(
    sent: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.05)
    async with served(tmp_path) as server, peers(server) as (slow,):
        slow.send(sent)
        assert await slow.is_closed()


async def test_an_incomplete_body_closes_the_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "BODY_SECONDS", 0.05)
    async with served(tmp_path) as server, peers(server) as (slow,):
        slow.send(POST + token(server) + b"content-length: 100\r\n\r\n{")
        assert await slow.is_closed()


@pytest.mark.parametrize("length", [b"content-length: 1000000", b"transfer-encoding: chunked"])
async def test_a_client_without_the_token_is_rejected_before_its_body(length: bytes, tmp_path: Path) -> None:
    async with served(tmp_path) as server, peers(server) as (stranger,):
        stranger.send(POST + length + b"\r\n\r\n")

        head = await stranger.head()

        assert head.startswith(b"HTTP/1.1 401 ")
        assert b"connection: close" in head.lower()
        assert await stranger.is_closed()


async def test_a_body_in_many_small_chunks_is_parsed_in_many_turns(tmp_path: Path) -> None:
    async with served(tmp_path) as server, peers(server) as (client,):
        body = b'{"metadata": {"name": "chunks"}' + b" " * 20_000 + b"}"
        client.send(POST + token(server) + b"transfer-encoding: chunked\r\n\r\n")
        client.send(b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n")

        assert b" 201 " in await client.head()


@pytest.mark.parametrize(
    "sent",
    [b"\0\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"GET /" + b"a" * 100_000, b"GET / HTTP/1.1\r\nhost: x\r\nbad\r\n\r\n"],
    ids=["no HTTP", "no host", "a head that is too long", "a bad header"],
)
async def test_malformed_http_is_answered_with_a_status(sent: bytes, tmp_path: Path) -> None:
    async with served(tmp_path) as server, peers(server) as (odd,):
        odd.send(sent)
        head = await odd.head()
        assert head.startswith(b"HTTP/1.1 400 ")
        assert b'"kind":"Status"' in await asyncio.wait_for(odd.reader.read(), 20)
