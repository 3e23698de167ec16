# SPDX-License-Identifier: Apache-2.0
"""The load that the gates report. The gates here are a few lines on the same socket."""

import asyncio
import contextlib
import json
import math
import socket
import stat
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvloop
from structlog.testing import capture_logs

from harness.gate import Client, Gateway, instances
from harness.waiting import eventually
from tidegate.gateway.load import Load
from tidegate.model.load import Latency, LoadReport, Mirrored
from tidegate.model.objects import Key

HELLO = Key("default", "hello")


class Gate:
    """The gate's end of a connection."""

    def __init__(self, path: Path, name: str = "1-1") -> None:
        self.path = path
        self.name = name

    async def __aenter__(self) -> "Gate":
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.setblocking(False)
        await asyncio.get_running_loop().sock_connect(self.socket, str(self.path))
        return self

    async def __aexit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, packet: bytes) -> None:
        self.socket.send(packet)

    def report(self, hosts: dict[str, int], *, revision: str = "default/hello", **more: Any) -> None:
        """Report the requests at these hosts."""
        fields = {
            "name": revision,
            "inFlight": sum(hosts.values()),
            "queued": 0,
            "requests": 0,
            "concurrencySeconds": 0.0,
            "queueSeconds": 0.0,
            "responses": {},
            "refused": {},
            "hosts": hosts,
            "requestLatency": {"seconds": 0.0, "within": {}},
            "appRequestLatency": {"seconds": 0.0, "within": {}},
            **more,
        }
        self.send(json.dumps({"gateway": self.name, "time": 5.25, "revisions": [fields]}).encode())


@dataclass
class World:
    path: Path
    reports: list[LoadReport] = field(default_factory=list)
    withdrawals: list[tuple[Key, str]] = field(default_factory=list)
    acknowledged: asyncio.Event = field(default_factory=asyncio.Event)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    left: list[str] = field(default_factory=list)
    drain_seconds: float = 0.05

    def __post_init__(self) -> None:
        self.load = Load(self.path, self.take, self.withdrawn, self.left.append, drain_seconds=self.drain_seconds)
        self.acknowledged.set()

    def take(self, report: LoadReport) -> None:
        self.reports.append(report)
        self.news.set()

    async def withdrawn(self, revision: Key, address: str) -> None:
        self.withdrawals.append((revision, address))
        await self.acknowledged.wait()

    async def reported(self, count: int) -> None:
        """Return once that many reports have arrived."""
        while len(self.reports) < count:
            self.news.clear()
            await asyncio.wait_for(self.news.wait(), 5)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["World"]:
        task = asyncio.create_task(self.load.run())
        await asyncio.sleep(0)  # the first step of the task listens
        try:
            yield self
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with World(tmp_path / "gate.sock").running() as world:
        yield world


async def test_a_gateway_is_idle_once_all_its_revisions_are(world: World) -> None:
    async with Gate(world.path, "one") as gate, Gate(world.path, "two") as other:
        gate.report({"127.0.0.1:1": 1})
        gate.report({}, revision="default/other", queued=1)
        other.report({"127.0.0.1:1": 1})
        await world.reported(3)
        idle = asyncio.create_task(world.load.idle("one"))

        gate.report({"127.0.0.1:1": 0})
        await world.reported(4)
        assert not idle.done()
        gate.report({}, revision="default/other")
        await asyncio.wait_for(idle, 5)


async def test_a_gateway_that_got_sigterm_is_reported(world: World) -> None:
    async with Gate(world.path, "one") as gate:
        gate.send(b'{"gateway":"one","time":5.25,"revisions":[],"leaving":true}')
        await eventually(lambda: world.left == ["one"])


async def test_a_report_keeps_all_counters(world: World) -> None:
    async with Gate(world.path, "7-9") as gate:
        counts: dict[str, Any] = {"queued": 2, "requests": 40, "concurrencySeconds": 1.5, "queueSeconds": 0.25}
        counts["requestLatency"] = {"seconds": 1.25, "within": {"0.005": 36, "inf": 1}}
        counts["appRequestLatency"] = {"seconds": 1.0, "within": {"0.0005": 37}}
        gate.report({"127.0.0.1:1": 3}, responses={"200": 37}, refused={"queueFull": 1}, **counts)
        await world.reported(1)

    assert world.reports == [
        LoadReport(
            revision=HELLO,
            gateway="7-9",
            time=5.25,
            in_flight=3,
            queued=2,
            requests=40,
            concurrency_seconds=1.5,
            queue_seconds=0.25,
            responses={200: 37},
            refused={"queueFull": 1},
            hosts={"127.0.0.1:1": 3},
            request_latency=Latency(1.25, {0.005: 36, math.inf: 1}),
            app_request_latency=Latency(1.0, {0.0005: 37}),
        )
    ]


async def test_a_report_keeps_the_counters_of_mirrored_copies(world: World) -> None:
    async with Gate(world.path, "7-9") as gate:
        gate.report({}, mirrored={"requests": 5, "responses": {"500": 1}, "refused": {"queueFull": 4}})
        await world.reported(1)

    assert world.reports[0].mirrored == Mirrored(5, {500: 1}, {"queueFull": 4})


async def test_requests_in_flight_are_those_of_all_connected_gateways(world: World) -> None:
    async with Gate(world.path, "1-1") as first:
        async with Gate(world.path, "2-2") as second:
            first.report({"a:1": 1, "b:1": 0})
            second.report({"a:1": 2, "c:1": 4})
            await world.reported(2)
            assert world.load.load_of(HELLO) == {"a:1": 3, "b:1": 0, "c:1": 4}
            assert world.load.load_of(Key("default", "other")) == {}
        await eventually(lambda: world.load.load_of(HELLO) == {"a:1": 1, "b:1": 0})


async def test_a_revision_without_hosts_has_nothing_in_flight(world: World) -> None:
    async with Gate(world.path) as gate:
        gate.report({"a:1": 1})
        gate.report({})
        await world.reported(2)

        assert world.load.load_of(HELLO) == {}


async def test_malformed_packets_are_dropped_and_logged_once_per_connection(world: World) -> None:
    with capture_logs() as logs:
        async with Gate(world.path) as gate:
            gate.send(b"rubbish")
            gate.send(b'{"gateway": 1}')
            gate.report({"a:1": 1}, revision="a name without a namespace")
            gate.report({"a:1": 1})
            await world.reported(1)
        async with Gate(world.path) as gate:
            gate.send(b"rubbish")
            gate.report({"a:1": 1})
            await world.reported(2)

    assert [report.revision for report in world.reports] == [HELLO, HELLO]
    assert [line["event"] for line in logs] == ["malformed report from a gateway"] * 2


async def test_an_instance_that_does_not_respond_is_logged_once_and_again_when_it_does(world: World) -> None:
    with capture_logs() as logs:
        async with Gate(world.path) as gate:
            for silent in ([], ["a:1"], ["a:1"], []):
                gate.report({"a:1": 1, "b:1": 1}, silent=silent)
            gate.report({"a:1": 1}, revision="default/other", silent=["a:1"])
            await world.reported(5)

    assert [(line["event"], line["revision"], line["instance"]) for line in logs] == [
        ("instance does not respond", "default/hello", "a:1"),
        ("instance responds again", "default/hello", "a:1"),
        ("instance does not respond", "default/other", "a:1"),
    ]


async def test_a_large_packet_is_read_whole(world: World) -> None:
    hosts = {f"127.0.0.1:{port}": port for port in range(4000)}
    async with Gate(world.path) as gate:
        gate.report(hosts)
        await world.reported(1)

    assert world.reports[0].hosts == hosts


async def test_the_socket_is_private_and_replaces_an_old_one(tmp_path: Path) -> None:
    path = tmp_path / "gate.sock"
    for _ in range(2):
        async with World(path).running() as world, Gate(path) as gate:
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            gate.report({})
            await world.reported(1)


async def test_a_host_has_drained_when_no_gateway_lists_it(world: World) -> None:
    async with Gate(world.path, "1-1") as first, Gate(world.path, "2-2") as second:
        first.report({"a:1": 1, "b:1": 1})
        second.report({"a:1": 1})
        await world.reported(2)
        drained = asyncio.create_task(world.load.drained(HELLO, "a:1"))
        first.report({"b:1": 1})
        await world.reported(3)
        await asyncio.sleep(0)
        assert not drained.done()

        second.report({})
        await asyncio.wait_for(drained, 5)


async def test_a_host_without_requests_has_not_drained_while_envoy_may_still_choose_it(world: World) -> None:
    world.acknowledged.clear()
    async with Gate(world.path) as gate:
        gate.report({"a:1": 0})
        await world.reported(1)
        drained = asyncio.create_task(world.load.drained(HELLO, "a:1"))
        await eventually(lambda: world.withdrawals == [(HELLO, "a:1")])
        gate.report({"a:1": 1})  # Envoy has just chosen it
        world.acknowledged.set()
        await world.reported(2)
        await asyncio.sleep(0.06)  # longer than `drain_seconds`: the wait for a listed host continues
        assert not drained.done()

        gate.report({"a:1": 0})
        await asyncio.wait_for(drained, 5)


async def test_an_unknown_host_has_drained(world: World) -> None:
    async with Gate(world.path) as gate:
        gate.report({})
        await world.reported(1)
        await asyncio.wait_for(world.load.drained(HELLO, "a:1"), 5)


async def test_a_host_has_drained_when_its_gateways_have_disconnected(world: World) -> None:
    async with Gate(world.path) as gate:
        gate.report({"a:1": 1})
        await world.reported(1)
        drained = asyncio.create_task(world.load.drained(HELLO, "a:1"))
        await asyncio.sleep(0)
    await asyncio.wait_for(drained, 5)


def test_reports_are_read_on_uvloop_too(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with World(tmp_path / "gate.sock").running() as world, Gate(world.path) as gate:
            gate.report({"a:1": 1})
            await world.reported(1)
            gate.report({})
            await asyncio.wait_for(world.load.drained(HELLO, "a:1"), 5)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scenario())


async def test_a_real_gate_reports_when_an_instance_has_drained(tmp_path: Path) -> None:
    socket_path = tmp_path / "load.sock"
    async with World(socket_path, drain_seconds=20.0).running() as world, instances(1) as apps:
        gateway = Gateway(tmp_path, {"hello": {}}, filter_config={"socket": str(socket_path)})
        async with gateway.running(), Client(gateway.port, "hello") as client:
            gateway.set_hosts("hello", apps)
            client.send("/work/0.3")
            await eventually(lambda: world.load.load_of(HELLO) == {apps[0].address: 1})
            drained = asyncio.create_task(world.load.drained(HELLO, apps[0].address))
            gateway.set_hosts("hello", apps, health="DRAINING")

            await asyncio.wait_for(drained, 20)

            assert (await client.answer()).status == 200
            assert apps[0].busy == set()
            assert world.load.load_of(HELLO) == {}
