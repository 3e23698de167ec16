# SPDX-License-Identifier: Apache-2.0
"""Two real Envoys on one port that share a revision's instances: the container concurrency holds for every client,
while shares move, when one Envoy is killed, and when the control plane restarts."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from envoy.config.endpoint.v3 import endpoint_pb2

from harness import make
from harness.gateway import Envoy
from harness.pair import REVISION, Pair, pair
from tidegate.gateway.publisher.sharing import Sharing
from tidegate.kit.clock import VirtualClock
from tidegate.model import kinds
from tidegate.model.load import LoadReport, SlotShare
from tidegate.model.objects import Key
from tidegate.routing.table import Backend, Endpoint
from tidegate.xds.resource import ENDPOINTS_TYPE
from tidegate.xds.snapshot import Snapshot

ENOUGH = 40  # responses of each Envoy until the load shifts


async def load(pair: Pair, spread: Sequence[tuple[Envoy, int]], chance: random.Random) -> None:
    """Run the given number of clients for each Envoy, until both have answered enough. Each client sends one request
    after the other, and gives up some."""
    answered = [0] * len(spread)

    async def keep_asking(place: int) -> None:
        while min(answered) < ENOUGH:
            client = await pair.client(spread[place][0])
            while min(answered) < ENOUGH:
                path = f"/work/{chance.random() * 0.01:.4f}"
                if chance.random() < 0.03:
                    client.send(path)
                    await asyncio.sleep(chance.random() * 0.02)
                    break
                await pair.ask(client, path)
                answered[place] += 1
            client.abort()

    await asyncio.gather(*[keep_asking(place) for place, (_, count) in enumerate(spread) for _ in range(count)])


async def test_the_slots_of_an_idle_gateway_serve_the_requests_of_the_other(tmp_path: Path) -> None:
    async with pair(tmp_path, concurrency=1, count=2) as both:
        clients = [await both.client(both.first) for _ in range(2)]
        together = await asyncio.gather(*[client.get("/work/0.3") for client in clients])
        assert {answer.body for answer in together} == {app.address for app in both.apps}
        assert both.most == 1


async def test_a_single_slot_serves_the_clients_of_both(tmp_path: Path) -> None:
    async with pair(tmp_path, concurrency=1, count=1) as both:
        clients = [await both.client(envoy) for envoy in (both.first, both.second) for _ in range(2)]
        for _ in range(3):
            await asyncio.gather(*[both.ask(client, "/work/0.005") for client in clients])
        assert both.outcomes == {"200": 12}
        assert both.most == 1


async def test_container_concurrency_holds_under_shifting_load_while_instances_change(tmp_path: Path) -> None:
    chance = random.Random(3)
    async with pair(tmp_path, concurrency=2, count=3) as both:
        spare = await both.world.cluster.get(kinds.REVISION, Key(make.NAMESPACE, REVISION))

        async def churn() -> None:
            while True:
                pod = await both.world.run_at(spare, both.apps[0], "aaaa0")
                await asyncio.sleep(0.15)
                await both.world.delete(kinds.POD, pod["metadata"]["name"], grace_seconds=0)
                await asyncio.sleep(0.05)

        churning = asyncio.create_task(churn())
        for clients in ((12, 1), (1, 12), (8, 8)):
            await load(both, list(zip((both.first, both.second), clients, strict=True)), chance)
        assert not churning.done()
        churning.cancel()
        assert set(both.outcomes) == {"200"}
        assert both.most == 2


async def test_the_slots_of_a_killed_gateway_move_to_the_other(tmp_path: Path) -> None:
    async with pair(tmp_path, concurrency=1, count=3) as both:
        doomed = [await both.client(both.second) for _ in range(4)]
        for client in doomed:
            client.send("/work/0.05")
        staying = [await both.client(both.first) for _ in range(3)]
        asking = [asyncio.create_task(both.ask(client, "/work/0.2")) for client in staying]
        await both.world.kill(both.second)
        await asyncio.gather(*asking)
        together = await asyncio.gather(*[client.get("/work/0.2") for client in staying])
        assert {answer.body for answer in together} == {app.address for app in both.apps}
        assert both.most == 1


async def test_a_restarted_control_plane_gives_no_slot_twice(tmp_path: Path) -> None:
    async with pair(tmp_path, concurrency=1, count=2) as both:
        clients = [await both.client(envoy) for envoy in (both.first, both.second) for _ in range(3)]
        asking = [asyncio.create_task(both.ask(client, "/work/0.03")) for client in clients]
        await both.world.stop()
        await asyncio.gather(*asking)

        await both.world.start()
        for _ in range(10):
            await asyncio.gather(*[both.ask(client, "/work/0.01") for client in clients])
        assert both.outcomes == {"200": 66}
        assert both.most == 1


def slots(snapshot: Snapshot, gateway: str) -> int | None:
    """The share of that gateway in the single instance; None if it has no endpoints of its own."""
    resource = snapshot.own(ENDPOINTS_TYPE, f"{make.NAMESPACE}/{REVISION}", gateway)
    if resource is None:
        return None
    endpoints = endpoint_pb2.ClusterLoadAssignment.FromString(resource.body.value)
    return int(endpoints.endpoints[0].lb_endpoints[0].metadata.filter_metadata["tidegate.gate"]["slots"])


def sharing(snapshot: Snapshot, *gateways: str) -> Sharing:
    made = Sharing(snapshot, VirtualClock(), ())
    for gateway in gateways:
        made.joined(gateway, fresh=True)
    return made


NAME = Key(make.NAMESPACE, REVISION)
ONE = Backend(endpoints=(Endpoint("127.0.0.1:1"),), concurrency=2)


def test_every_gateway_has_endpoints_of_its_own_while_the_revision_exists() -> None:
    snapshot = Snapshot()
    both = sharing(snapshot, "one", "two")
    both.publish(NAME, ONE)
    assert (slots(snapshot, "one"), slots(snapshot, "two")) == (1, 1)

    both.publish(NAME, None)
    assert (slots(snapshot, "one"), slots(snapshot, "two")) == (None, None)


def test_instances_without_container_concurrency_are_not_shared() -> None:
    snapshot = Snapshot()
    sharing(snapshot, "one", "two").publish(NAME, replace(ONE, concurrency=0))
    assert (slots(snapshot, "one"), slots(snapshot, "two")) == (None, None)


def test_a_single_gateway_has_every_slot_until_another_joins_it() -> None:
    snapshot = Snapshot()
    alone = sharing(snapshot, "one")
    alone.publish(NAME, ONE)
    assert slots(snapshot, "one") == 2

    alone.joined("two", fresh=True)
    assert (slots(snapshot, "one"), slots(snapshot, "two")) == (2, 0)


def test_a_late_report_of_an_ended_gateway_holds_nothing() -> None:
    snapshot = Snapshot()
    both = sharing(snapshot, "one", "two")
    both.publish(NAME, ONE)
    both.ended("two")
    both.report(
        LoadReport(
            revision=NAME,
            gateway="two",
            time=0,
            in_flight=1,
            queued=0,
            requests=1,
            concurrency_seconds=0,
            queue_seconds=0,
            responses={},
            refused={},
            hosts={"127.0.0.1:1": 1},
            shares={"127.0.0.1:1": SlotShare(9, 1)},
        )
    )
    assert slots(snapshot, "one") == 2
