# SPDX-License-Identifier: Apache-2.0
"""Probes: attempts at real servers, and the times of attempts."""

import asyncio
import errno
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.files import no_more_files
from tidegate.kit.clock import settle
from tidegate.node.attempts import attempt
from tidegate.node.probe import Probe, ProbeKind, ProbeTarget, Schedule, Ticks


async def nothing(program: list[str]) -> int:
    return 127


def target(port: int, execute: Any = nothing) -> ProbeTarget:
    return ProbeTarget("127.0.0.1", {"": port, "8080": port, "http1": port}, execute)


def probe(spec: dict[str, Any], kind: ProbeKind = "readiness") -> Probe:
    found = Probe.of(kind, spec)
    assert found is not None
    return found


@asynccontextmanager
async def answering(answer: bytes, seen: Callable[[bytes], None] = lambda head: None) -> AsyncIterator[int]:
    """An HTTP server that always answers the same; its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        writer.write_eof()
        await reader.read()
        writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
        await settle()


@pytest.mark.parametrize("action", [{"tcpSocket": {}}, {"httpGet": {}}, {"httpGet": {"scheme": "HTTPS"}}])
async def test_a_shortage_of_files_in_tidegate_is_no_failure_of_the_app(action: dict[str, Any]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, no_more_files(), pytest.raises(OSError) as raised:
        await attempt(probe(action), target(server.getsockname()[1]))
    assert raised.value.errno == errno.EMFILE


async def test_a_tcp_probe_succeeds_if_the_port_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        for named in (8080, "8080", "http1", None, 0, "0", port):
            assert await attempt(probe({"tcpSocket": {"port": named}}), target(port)) is None
        assert await attempt(probe({"tcpSocket": {"port": port, "host": "localhost"}}), target(1)) is None
    problem = await attempt(probe({"tcpSocket": {}}), target(port))
    assert problem == f"dial tcp 127.0.0.1:{port}: connection refused"
    elsewhere = await attempt(probe({"tcpSocket": {"port": port, "host": "127.0.0.2"}}), target(1))
    assert elsewhere == f"dial tcp 127.0.0.2:{port}: connection refused"


async def test_a_listener_that_takes_no_more_connections_times_out() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        port = server.getsockname()[1]
        full = [socket.socket() for _ in range(8)]
        for client in full:
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", port))
        quick = Probe({"tcpSocket": {}}, 0, 10, 0.05, 3, 1, tight=True)
        assert await attempt(quick, target(port)) == f"dial tcp 127.0.0.1:{port}: timed out after 0.05 s"
        for client in full:
            client.close()


@pytest.mark.parametrize(
    ("status", "problem"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", None),
        (b"HTTP/1.1 301 Moved\r\n\r\n", None),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", "404"),
        (b"HTTP/1.1 503 Not yet\r\n\r\n", "503"),
        (b"SSH-2.0-OpenSSH\r\n", "the answer is not HTTP"),
        (b"", "the answer is not HTTP"),
    ],
)
async def test_an_http_probe_succeeds_for_2xx_and_3xx(status: bytes, problem: str | None) -> None:
    async with answering(status) as port:
        seen = await attempt(probe({"httpGet": {"path": "/healthz", "port": 8080}}), target(port))
        assert seen == (f"GET http://127.0.0.1:{port}/healthz: {problem}" if problem else None)


async def test_an_http_probe_names_itself_and_sends_the_headers_of_its_spec() -> None:
    heads: list[bytes] = []
    async with answering(b"HTTP/1.1 200 OK\r\n\r\n", heads.append) as port:
        action = {"path": "ok?a=b", "port": 8080, "httpHeaders": [{"name": "X-Key", "value": "v"}]}
        assert await attempt(probe({"httpGet": action}), target(port)) is None

    lines = heads[0].decode().split("\r\n")
    assert lines[0] == "GET /ok?a=b HTTP/1.1"
    assert f"host: 127.0.0.1:{port}" in lines
    assert "x-key: v" in lines
    assert any(line.startswith("user-agent: kube-probe/") for line in lines)


async def test_a_header_cannot_carry_a_second_request() -> None:
    action = {"path": "/", "httpHeaders": [{"name": "x", "value": "a\r\n\r\nGET /evil"}]}
    async with answering(b"HTTP/1.1 200 OK\r\n\r\n") as port:
        problem = await attempt(probe({"httpGet": action}), target(port))
    assert "line break" in (problem or "")


async def test_an_exec_probe_succeeds_if_the_program_ends_with_0() -> None:
    async def execute(program: list[str]) -> int:
        return 0 if program == ["check", "it"] else 3

    assert await attempt(probe({"exec": {"command": ["check", "it"]}}), target(1, execute)) is None
    assert await attempt(probe({"exec": {"command": ["no"]}}), target(1, execute)) == "exec no: exit code 3"


async def test_a_grpc_probe_asks_the_health_service() -> None:
    states = {b"": b"\x08\x01", b"\x0a\x04shop": b"\x08\x02"}

    class Health(grpc.GenericRpcHandler):  # type: ignore[type-arg] # not generic when it runs
        def service(self, handler_call_details: Any) -> Any:
            async def check(request: bytes, context: Any) -> bytes:
                return states[request]

            return grpc.unary_unary_rpc_method_handler(check)

    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Health(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        assert await attempt(probe({"grpc": {"port": 8080}}), target(port)) is None
        problem = await attempt(probe({"grpc": {"port": 8080, "service": "shop"}}), target(port))
        assert problem == f"grpc 127.0.0.1:{port}: service unhealthy"
    finally:
        await server.stop(None)
    assert "UNAVAILABLE" in (await attempt(probe({"grpc": {"port": 8080}}), target(port)) or "")


def test_defaults_are_those_of_kubernetes_but_a_readiness_probe_is_tight() -> None:
    liveness = probe({"tcpSocket": {}}, "liveness")
    assert (liveness.period, liveness.timeout, liveness.failures, liveness.tight) == (10, 1, 3, False)
    readiness = probe({"tcpSocket": {}, "periodSeconds": 0, "failureThreshold": 0, "timeoutSeconds": 0})
    assert (readiness.period, readiness.timeout, readiness.failures, readiness.tight) == (10, 1, 3, True)
    assert Probe.of("startup", None) is None


@given(st.floats(0.0005, 100), st.floats(0, 10))
def test_an_app_is_found_ready_within_a_twentieth_of_its_start_and_at_most_a_second_late(
    start: float, delay: float
) -> None:
    """Whatever time it takes to listen: the first attempt after that comes soon."""
    tight = Probe({"tcpSocket": {}}, delay, 10, 1, 3, 1, tight=True)
    schedule, now, tries = Schedule(tight, 0.0), 0.0, 0
    while now < delay + start:
        now += schedule.wait(now)
        schedule.counts(now)
        tries += 1
    late = now - delay - start
    assert late <= max(0.0011, min(start / 20, 0.0101) if start < 1 else min(start / 100 + 0.001, 1.0))
    assert tries < 1200


@given(st.integers(1, 300), st.floats(0, 10), st.floats(0, 10), st.booleans())
def test_a_probe_counts_one_failure_a_period_at_its_end(period: int, delay: float, age: float, tight: bool) -> None:
    """An app has the initial delay, counted from its start, and as many periods as it may fail."""
    schedule, now = Schedule(Probe({"exec": {}}, delay, period, 1, 3, 1, tight=tight), 0.0, age), 0.0
    counted: list[float] = []
    while len(counted) < 4:
        now += schedule.wait(now)
        now += 1e-9  # an attempt takes time
        if schedule.counts(now):
            counted.append(now)
    began = max(0.0, delay - age)
    assert counted == pytest.approx([began + number * period for number in range(1, 5)], abs=1e-3)


@given(st.integers(1, 30), st.lists(st.floats(0, 100), min_size=1, max_size=20))
def test_a_long_attempt_counts_once_and_the_next_failure_counts_a_period_later(
    period: int, lengths: list[float]
) -> None:
    schedule, now = Schedule(Probe({"exec": {}}, 0, period, 100, 3, 1, tight=True), 0.0), 0.0
    last = 0.0
    for length in lengths:
        now += schedule.wait(now) + length
        if schedule.counts(now):
            assert int(now / period) > int(last / period)
            last = now


@given(st.integers(1, 30), st.floats(0, 30), st.lists(st.floats(0, 100), min_size=1, max_size=20))
def test_a_probe_that_has_succeeded_is_tried_once_a_period_and_never_in_bursts(
    period: int, first: float, lengths: list[float]
) -> None:
    ticks, now, begun = Ticks(Probe({"exec": {}}, 0, period, 100, 3, 1, tight=True), first), 0.0, -1.0
    for length in lengths:
        now += ticks.wait(now)
        assert now >= first
        assert begun < 0 or now - begun >= period - 1e-6
        begun = now
        now += length
