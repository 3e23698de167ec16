# SPDX-License-Identifier: Apache-2.0
"""Changes, and restarts of Envoys and control planes, while requests run: no request is lost."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from harness import make
from harness.gate import instances
from harness.gateway import Envoy, World, world
from harness.waiting import eventually
from tidegate.gateway.publisher import ingress_status
from tidegate.model import kinds
from tidegate.model.objects import Object

HOST = "hello.example.com"
ONE, TWO = make.revision("hello-00001"), make.revision("hello-00002", generation=2)


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as made:
        yield made


def leading_to(*revisions: Object) -> Object:
    names = [revision["metadata"]["name"] for revision in revisions]
    shares = {name: 100 // len(names) for name in names}
    return make.ingress("hello", make.rule(HOST, make.path(shares)))


@contextlib.asynccontextmanager
async def under_load(gateway: World, clients: int = 4) -> AsyncIterator[None]:
    """Send requests without pause on that many connections. Every response must be 200."""
    ended = asyncio.Event()

    async def ask() -> int:
        answers = 0
        async with gateway.client(HOST) as client:
            while not ended.is_set():
                answer = await client.get("/work/0.001")
                assert answer.status == 200, answer
                answers += 1
        return answers

    asking = [asyncio.create_task(ask()) for _ in range(clients)]
    try:
        yield
    finally:
        ended.set()
    assert all(await asyncio.gather(*asking))


async def test_traffic_moves_a_hundred_times_and_no_request_is_lost(gateway: World) -> None:
    async with gateway.envoy(), instances(2) as (first, second):
        await gateway.apply(ONE, TWO, leading_to(ONE))
        await gateway.run_at(ONE, first)
        await gateway.run_at(TWO, second)
        await gateway.ready("hello")
        async with under_load(gateway):
            for number in range(100):
                target, app = ((TWO, second), (ONE, first))[number % 2]
                served = app.served
                await gateway.apply(leading_to(target))
                await gateway.ready("hello")
                assert (await gateway.get(HOST)).body == app.address
                assert app.served > served


async def test_a_new_revision_gets_traffic_and_the_old_one_is_removed_with_its_cluster(gateway: World) -> None:
    """Each revision is created just before traffic moves to it, and deleted just after traffic has moved away."""
    async with gateway.envoy() as envoy, instances(2) as (first, second):
        await gateway.apply(ONE, leading_to(ONE))
        await gateway.run_at(ONE, first)
        await gateway.ready("hello")
        async with under_load(gateway):
            for number in range(20):
                (new, app), old = (((TWO, second), ONE), ((ONE, first), TWO))[number % 2]
                await gateway.apply(new, leading_to(new))
                await gateway.run_at(new, app)
                await gateway.ready("hello")
                await gateway.delete(kinds.POD, f"{old['metadata']['name']}-aaaaa", grace_seconds=0)
                await gateway.delete(kinds.REVISION, old["metadata"]["name"])
                await until_removed(envoy, f"default/{old['metadata']['name']}")


async def until_removed(envoy: Envoy, cluster: str) -> None:
    async def is_removed() -> bool:
        return cluster not in await envoy.admin("/clusters")

    await eventually(is_removed)


async def test_a_restarted_control_plane_sends_only_changes(gateway: World) -> None:
    async with gateway.envoy() as envoy, instances(2) as (first, second):
        await gateway.apply(ONE, TWO, leading_to(ONE, TWO), make.ingress("other"), make.ingress("deleted"))
        await gateway.run_at(ONE, first)
        await gateway.run_at(TWO, second)
        for name in ("hello", "other", "deleted"):
            await gateway.ready(name)
        async with under_load(gateway):
            await gateway.stop()
            await gateway.delete(kinds.INGRESS, "deleted")
            await gateway.apply(leading_to(TWO))
            before = {name: await envoy.counter(name) for name in UPDATES}
            await gateway.start()
            await gateway.ready("hello")
            await until_removed(envoy, "default/deleted-00001")

        assert set(await gateway.bodies(HOST, 20)) == {second.address}
        after = {name: await envoy.counter(name) for name in UPDATES}
        updates = {name: after[name] - before[name] for name in UPDATES}
        # One update for the removed cluster, one for the removed hosts, and one for the changed routes.
        assert updates == {
            "cluster_manager.cds.update_success": 1,
            "cluster_manager.cluster_modified": 0,
            "listener_manager.lds.update_success": 0,
            "http.gateway.scoped_rds.hosts.update_success": 1,
            "http.gateway.rds.default/hello.config_reload": 1,
            "http.gateway.rds.default/other.config_reload": 0,
        }
        assert (await gateway.get("deleted.example.com")).status == 404


async def test_a_revision_that_crashed_without_a_control_plane_blocks_no_other(gateway: World) -> None:
    """Its cluster is replaced at the new stream's beginning, and Envoy acknowledges no cluster while one waits."""
    async with gateway.envoy() as envoy, instances(1) as (app,):
        await gateway.apply(ONE, leading_to(ONE))
        pod = await gateway.run_at(ONE, app)
        await gateway.apply({**pod, "status": make.crashed("boom")})
        await gateway.ready("hello")
        await gateway.stop()
        await gateway.apply({**pod, "status": make.crashed("bang")})
        await gateway.start()

        async with asyncio.timeout(ENVOYS_PATIENCE / 2):
            await gateway.apply(make.revision("new-00001"), make.ingress("new"))
            await gateway.ready("new")
        assert await envoy.counter("cluster_manager.warming_clusters") == 0
        assert (await gateway.get(HOST)).status == 503


ENVOYS_PATIENCE = 15.0  # seconds that Envoy waits for the endpoints of a cluster
UPDATES = (
    "cluster_manager.cds.update_success",
    "cluster_manager.cluster_modified",
    "listener_manager.lds.update_success",
    "http.gateway.scoped_rds.hosts.update_success",
    "http.gateway.rds.default/hello.config_reload",
    "http.gateway.rds.default/other.config_reload",
)


async def test_a_new_envoy_gets_everything_before_it_listens(gateway: World) -> None:
    async with instances(1) as (app,):
        await gateway.apply(ONE, leading_to(ONE), *[make.ingress(f"other-{number}") for number in range(20)])
        await gateway.run_at(ONE, app)
        for _ in range(2):
            async with gateway.envoy():
                assert (await gateway.get(HOST)).body == app.address
                await gateway.ready("hello")


async def test_an_ingress_is_ready_once_every_gateway_has_acknowledged_it(gateway: World) -> None:
    async with gateway.envoy("one") as one, gateway.envoy("two") as two, instances(1) as (app,):
        await gateway.apply(ONE, leading_to(ONE))
        await gateway.run_at(ONE, app)
        await gateway.ready("hello")
        for envoy in (one, two):
            assert "default/hello-00001" in await envoy.admin("/clusters")
        assert one.process is not None
        one.process.send_signal(19)  # SIGSTOP: it acknowledges nothing
        await gateway.apply(TWO, leading_to(TWO))
        assert (await gateway.state("hello", "Unknown"))["reason"] == "Uninitialized"
        one.process.kill()
        await gateway.ready("hello")
        assert "default/hello-00002" in await two.admin("/clusters")


async def test_a_gateway_that_hangs_is_reported_on_the_ingress_until_it_continues(
    gateway: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingress_status, "ACKNOWLEDGEMENT_SECONDS", 0.2)
    async with gateway.envoy() as envoy:
        assert envoy.process is not None
        await gateway.apply(ONE, leading_to(ONE))
        await gateway.ready("hello")

        envoy.process.send_signal(signal.SIGSTOP)
        await gateway.apply(TWO, leading_to(ONE, TWO))
        condition = await gateway.reason("hello", "GatewayNotAcknowledging")
        assert condition["status"] == "Unknown"
        assert "has not acknowledged the routes" in condition["message"]

        envoy.process.send_signal(signal.SIGCONT)
        await gateway.ready("hello")
