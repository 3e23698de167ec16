# SPDX-License-Identifier: Apache-2.0
"""Rules for clients' requests, byte by byte: a real Envoy, and an app that returns the request it got. The rows of
"Edge rules" in docs/gateway.md."""

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator
from ipaddress import ip_address
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from harness import make
from harness.echo import Echo, echo
from harness.gate import Answer, Client
from harness.gateway import Envoy, World, world
from harness.waiting import eventually
from tidegate.kit import addresses
from tidegate.model.config import GatewayConfig
from tidegate.xds import edge
from tidegate.xds.listener import Telemetry

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOST = "hello.example.com"
MALFORMED = [
    b"GET / HTTP/1.1\r\nhost: hello.example.com\r\nx: a\0b\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: hello.example.com\r\nx : a\r\n\r\n",  # whitespace before the colon
    b"GET / HTTP/1.1\r\nhost: hello.example.com\r\n x: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: hello.example.com\r\nno-colon\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: hello.example.com\r\nhost: other.example.com\r\n\r\n",
    b"POST / HTTP/1.1\r\nhost: hello.example.com\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nhost: hello.example.com\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
    b"POST / HTTP/1.1\r\nhost: hello.example.com\r\ncontent-length: +1\r\n\r\na",
]


class Edge:
    """One gateway for all tests, with an app behind it."""

    def __init__(self, gateway: World, envoy: Envoy, app: Echo) -> None:
        self.gateway = gateway
        self.envoy = envoy
        self.app = app

    async def configure(self, **settings: Any) -> None:
        """Use these settings of config-gateway for new connections."""
        before = await self.envoy.counter("listener_manager.lds.update_success")
        self.gateway.publisher.listeners.configure(Telemetry(self.gateway.gate_socket), GatewayConfig(**settings))

        async def is_applied() -> bool:
            updated = await self.envoy.counter("listener_manager.lds.update_success") != before
            return updated and not await self.envoy.counter("listener_manager.total_listeners_warming")

        await eventually(is_applied)

    async def send(self, request: bytes) -> int:
        """The status of the response to these bytes; 0 if the connection is closed without one."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.gateway.port)
        with contextlib.closing(writer):
            writer.write(request)
            async with asyncio.timeout(5):
                line = await reader.readline()
        return int(line.split()[1]) if line else 0

    async def ask(self, path: str = "/", headers: str = "", *, inside: bool = False) -> dict[str, Any]:
        """The request that reached the app."""
        answer = await self.answer(path, headers, inside=inside)
        assert answer.status == 200, answer
        seen: dict[str, Any] = msgspec.json.decode(answer.body)
        return {**seen, "headers": dict(seen["headers"])}

    async def answer(self, path: str = "/", headers: str = "", *, inside: bool = False) -> Answer:
        return await self.gateway.get(HOST, path, headers, inside=inside)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Edge]:
    async with world(tmp_path_factory.mktemp("e"), tls=True) as made, made.envoy() as envoy, echo() as app:
        revision = make.revision()
        await made.apply(revision, make.ingress())
        await made.run_at(revision, app)
        await made.ready("hello")
        yield Edge(made, envoy, app)


@pytest_asyncio.fixture(loop_scope="module")
async def at_edge(served: Edge) -> AsyncIterator[Edge]:
    """With the default settings, before and after."""
    yield served
    if served.gateway.publisher.listeners.config != GatewayConfig():
        await served.configure()


@pytest.mark.parametrize("request_bytes", MALFORMED)
async def test_a_malformed_request_is_rejected_and_reaches_no_app(at_edge: Edge, request_bytes: bytes) -> None:
    seen = len(at_edge.app.seen)
    assert await at_edge.send(request_bytes) in (0, 400, 404)
    assert len(at_edge.app.seen) == seen


async def test_lines_that_end_with_a_bare_lf_reach_the_app_with_crlf(at_edge: Edge) -> None:
    assert await at_edge.send(b"GET /lf HTTP/1.1\nhost: hello.example.com\nx-one: 1\n\n") == 200
    assert ("x-one", "1") in [tuple(pair) for pair in at_edge.app.seen[-1]["headers"]]


@pytest.mark.parametrize(("value", "reaches"), [(b"a\rb", "ab"), (b"a\r\n b", "a b"), (b"a\r\n\tb", "a\tb")])
async def test_a_bare_cr_and_a_folded_line_reach_the_app_as_one_line(at_edge: Edge, value: bytes, reaches: str) -> None:
    assert await at_edge.send(b"GET / HTTP/1.1\r\nhost: hello.example.com\r\nx-one: %s\r\n\r\n" % value) == 200
    assert dict(at_edge.app.seen[-1]["headers"])["x-one"] == reaches


async def test_trace_is_rejected(at_edge: Edge) -> None:
    async with at_edge.gateway.client(HOST) as client:
        client.writer.write(b"TRACE / HTTP/1.1\r\nhost: hello.example.com\r\n\r\n")
        answer = await client.answer()
    assert answer.status == 405
    assert "TRACE" not in answer.headers["allow"]
    assert "MethodNotAllowed" in answer.body


@pytest.mark.parametrize(("action", "reaches"), [("drop", {}), ("allow", {"x_role": "admin"})])
async def test_headers_with_underscores_are_treated_by_config_gateway(
    at_edge: Edge, action: str, reaches: dict[str, str]
) -> None:
    await at_edge.configure(headers_with_underscores=action)
    headers = (await at_edge.ask(headers="x_role: admin\r\n"))["headers"]
    assert {name: value for name, value in headers.items() if "_" in name} == reaches


async def test_a_header_with_an_underscore_is_rejected_by_default(at_edge: Edge) -> None:
    answer = await at_edge.answer(headers="x_role: admin\r\n")
    assert answer.status == 400
    assert "UnderscoreInHeader" in answer.body


async def test_slashes_reach_the_app_as_they_came_by_default(at_edge: Edge) -> None:
    assert (await at_edge.ask("/a//b%2Fc%5Cd"))["target"] == "/a//b%2Fc%5Cd"


async def test_dot_segments_are_resolved(at_edge: Edge) -> None:
    assert (await at_edge.ask("/a/../b/./c"))["target"] == "/b/c"
    assert (await at_edge.ask("/a/%2e%2e/b"))["target"] == "/b"


async def test_slashes_are_merged_by_config_gateway(at_edge: Edge) -> None:
    await at_edge.configure(merge_slashes=True)
    assert (await at_edge.ask("/a//b"))["target"] == "/a/b"


async def test_escaped_slashes_are_treated_by_config_gateway(at_edge: Edge) -> None:
    await at_edge.configure(escaped_slashes="reject")
    assert (await at_edge.answer("/a%2Fb")).status == 400
    await at_edge.configure(escaped_slashes="decode")
    assert (await at_edge.ask("/a%2Fb"))["target"] == "/a/b"
    await at_edge.configure(escaped_slashes="redirect")
    answer = await at_edge.answer("/a%2Fb")
    assert (answer.status, answer.headers["location"]) == (307, "/a/b")


CLAIMED = dict.fromkeys((*edge.CLAIMS, *edge.INTERNAL), "10.9.8.7")
AS_HEADERS = "".join(f"{name}: {value}\r\n" for name, value in CLAIMED.items())


async def test_identity_headers_of_outside_clients_are_replaced_by_the_gateways_own(at_edge: Edge) -> None:
    headers = (await at_edge.ask(headers=AS_HEADERS))["headers"]
    assert {name for name in headers if name in CLAIMED} == {"x-forwarded-for", "x-forwarded-host", "x-real-ip"}
    assert (headers["x-real-ip"], headers["x-forwarded-host"]) == ("127.0.0.1", HOST)
    assert ip_address(headers["x-forwarded-for"]) != ip_address("10.9.8.7")
    assert headers["x-forwarded-proto"] == "http"


async def test_apps_may_name_their_client_and_nothing_else(at_edge: Edge) -> None:
    headers = (await at_edge.ask(headers=AS_HEADERS, inside=True))["headers"]
    assert {name for name in headers if name in CLAIMED} == set(edge.CLAIMS)
    assert headers["x-forwarded-for"].startswith("10.9.8.7,")


async def test_a_trusted_proxy_may_name_its_client(at_edge: Edge) -> None:
    await at_edge.configure(trusted_hops=1)
    headers = (await at_edge.ask(headers="x-forwarded-for: 10.9.8.7\r\nx-forwarded-proto: https\r\n"))["headers"]
    assert headers["x-forwarded-for"].startswith("10.9.8.7,")
    assert headers["x-forwarded-proto"] == "https"


async def test_a_client_with_too_many_requests_is_rejected_with_429(at_edge: Edge) -> None:
    await at_edge.configure(client_requests_per_second=2)
    async with Client(at_edge.gateway.port, HOST) as client:
        answers = [await client.get("/") for _ in range(20)]
    assert [answer.status for answer in answers[:2]] == [200, 200]
    refused = [answer for answer in answers if answer.status == 429]
    assert refused
    assert "TooManyRequests" in refused[0].body
    assert (await at_edge.answer(inside=True)).status == 200


async def test_headers_are_limited_in_number_and_size(at_edge: Edge) -> None:
    many = "".join(f"x-{number}: 1\r\n" for number in range(edge.HEADERS_COUNT))
    assert (await at_edge.answer(headers=many)).status == 431
    assert (await at_edge.answer(headers=f"x: {'a' * (edge.HEADERS_KB << 10)}\r\n")).status == 431
    assert (await at_edge.answer(headers=f"x: {'a' * ((edge.HEADERS_KB - 2) << 10)}\r\n")).status == 200


async def test_an_http2_connection_has_100_streams_and_small_windows(at_edge: Edge) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", at_edge.gateway.port)
    settings: dict[int, int] = {}
    window = 0xFFFF
    with contextlib.closing(writer):
        writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0")
        async with asyncio.timeout(5):
            while not settings or window == 0xFFFF:
                head = await reader.readexactly(9)
                body = await reader.readexactly(int.from_bytes(head[:3]))
                if head[3] == 4:
                    settings.update(struct.iter_unpack("!HI", body))
                elif head[3] == 8:
                    window += int.from_bytes(body)
    assert (settings[3], settings[4], window) == (100, 64 << 10, 1 << 20)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("port", ["port", "https_port", "internal_port"])
async def test_every_listener_answers_on_both_loopback_addresses(at_edge: Edge, address: str, port: str) -> None:
    try:
        _, writer = await asyncio.open_connection(address, getattr(at_edge.gateway, port))
    except OSError:
        if address not in addresses.loopback():
            pytest.skip("this machine has no IPv6")
        raise
    writer.close()
