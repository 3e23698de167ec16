# SPDX-License-Identifier: Apache-2.0
"""From objects to requests: objects in the API, and how a real Envoy routes requests by them."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from harness import make
from harness.echo import echo
from harness.gate import instances
from harness.gateway import World, world
from harness.waiting import eventually
from tidegate.model import kinds, names
from tidegate.model.objects import Key, Object, key

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """One control plane and one Envoy for all tests here; each test has its own hosts and revisions."""
    async with world(tmp_path_factory.mktemp("g")) as made, made.envoy():
        yield made


def revisions(*numbered: str, **options: Any) -> list[Object]:
    return [make.revision(name, **options) for name in numbered]


async def asked(gateway: World, host: str, path: str = "/", headers: str = "") -> dict[str, Any]:
    """The request that an `Echo` got; its headers as one dict."""
    answer = await gateway.get(host, path, headers)
    assert answer.status == 200, answer
    said: dict[str, Any] = json.loads(answer.body)
    return {**said, "headers": dict(said["headers"])}


async def test_a_host_is_routed_to_its_revision_with_any_port_and_other_hosts_are_unknown(gateway: World) -> None:
    (revision,) = revisions("host-00001")
    async with instances(1) as (app,):
        await gateway.apply(revision, make.ingress("host"))
        await gateway.run_at(revision, app)
        await gateway.ready("host")

        for host in ("host.example.com", "host.example.com:8080", "host.example.com."):
            assert (await gateway.get(host)).body == app.address
        for host in ("other.example.com", "host.example.org", "example.com", "127.0.0.1"):
            assert (await gateway.get(host)).status == 404


async def test_an_instance_sees_the_host_and_port_that_the_client_named(gateway: World) -> None:
    (revision,) = revisions("named-00001")
    async with echo() as app:
        await gateway.apply(revision, make.ingress("named"))
        await gateway.run_at(revision, app)
        await gateway.ready("named")

        assert (await asked(gateway, "named.example.com:8080"))["headers"]["host"] == "named.example.com:8080"


async def test_traffic_shares_hold_and_each_request_carries_its_revision(gateway: World) -> None:
    one, two = revisions("split-00001", "split-00002")
    rule = make.rule("split.example.com", make.path({"split-00001": 80, "split-00002": 20}))
    async with echo() as first, echo() as second:
        await gateway.apply(one, two, make.ingress("split", rule))
        await gateway.run_at(one, first)
        await gateway.run_at(two, second)
        await gateway.ready("split")
        async with gateway.client("split.example.com") as client:
            for _ in range(500):
                await client.get()

    assert 50 < len(second.seen) < 150  # 100 of 500 expected, within 5 standard deviations
    for app, name in ((first, "split-00001"), (second, "split-00002")):
        assert {dict(said["headers"])["knative-serving-revision"] for said in app.seen} == {name}


async def test_a_client_cannot_set_the_headers_of_the_gateway(gateway: World) -> None:
    (revision,) = revisions("forged-00001")
    async with echo() as app:
        await gateway.apply(revision, make.ingress("forged"))
        await gateway.run_at(revision, app)
        await gateway.ready("forged")
        forged = (
            "knative-serving-revision: other\r\nk-network-hash: 1\r\nk-network-probe: queue\r\n"
            "x-forwarded-for: 203.0.113.7\r\nx-forwarded-proto: https\r\nx-envoy-upstream-rq-timeout-ms: 1\r\n"
        )
        seen = (await asked(gateway, "forged.example.com", "/late/0.05", forged))["headers"]

    assert seen["knative-serving-revision"] == "forged-00001"
    assert seen["x-forwarded-proto"] == "http"
    assert seen["x-forwarded-for"] != "203.0.113.7"
    assert not {"k-network-hash", "k-network-probe", "x-envoy-upstream-rq-timeout-ms"} & seen.keys()


async def test_tags_have_hosts_of_their_own(gateway: World) -> None:
    one, two = revisions("tags-00001", "tags-00002")
    rules = (
        make.rule("tags.example.com", make.path({"tags-00001": 100, "tags-00002": 0})),
        make.rule("next-tags.example.com", make.path({"tags-00002": 100})),
    )
    async with instances(2) as (first, second):
        await gateway.apply(one, two, make.ingress("tags", *rules))
        await gateway.run_at(one, first)
        await gateway.run_at(two, second)
        await gateway.ready("tags")

        assert await gateway.bodies("tags.example.com", 20) == {first.address: 20}
        assert await gateway.bodies("next-tags.example.com", 20) == {second.address: 20}


async def test_longer_prefixes_and_more_conditions_come_first(gateway: World) -> None:
    made = revisions("plain-1", "deep-1", "blue-1", "bluer-1")
    rule = make.rule(
        "paths.example.com",
        make.path({"plain-1": 100}),
        make.path({"blue-1": 100}, headers={"color": {"exact": "blue"}}),
        make.path({"deep-1": 100}, path="/deep"),
        make.path({"bluer-1": 100}, headers={"color": {"exact": "blue"}, "tone": {"exact": "dark"}}),
    )
    async with instances(4) as apps:
        await gateway.apply(*made, make.ingress("paths", rule))
        for revision, app in zip(made, apps, strict=True):
            await gateway.run_at(revision, app)
        await gateway.ready("paths")
        plain, deep, blue, bluer = apps

        for path, headers, app in (
            ("/", "", plain),
            ("/deeper", "", plain),
            ("/deep", "", deep),
            ("/deep?x=1", "", deep),
            ("/deep/er", "color: blue\r\n", deep),
            ("/", "color: blue\r\n", blue),
            ("/", "color: green\r\ntone: dark\r\n", plain),
            ("/", "color: blue\r\ntone: dark\r\n", bluer),
        ):
            assert (await gateway.get("paths.example.com", path, headers)).body == app.address, (path, headers)


async def test_headers_are_added_and_the_host_is_rewritten(gateway: World) -> None:
    (revision,) = revisions("headers-00001")
    path = make.path({"headers-00001": 100}, appendHeaders={"Team": "tide"}, rewriteHost="inner.example.com")
    async with echo() as app:
        await gateway.apply(revision, make.ingress("headers", make.rule("headers.example.com", path)))
        await gateway.run_at(revision, app)
        await gateway.ready("headers")
        seen = (await asked(gateway, "headers.example.com"))["headers"]

    assert (seen["team"], seen["host"]) == ("tide", "inner.example.com")


async def test_plain_http_is_redirected_if_the_ingress_says_so(gateway: World) -> None:
    await gateway.apply(*revisions("sent-00001"), make.ingress("sent", redirect=True))
    await gateway.ready("sent")

    answer = await gateway.get("sent.example.com:8080", "/path?query=1")

    assert answer.status == 301
    assert answer.headers["location"] == f"https://sent.example.com:{gateway.https_port}/path?query=1"


async def test_apps_are_not_redirected_to_https(gateway: World) -> None:
    (revision,) = revisions("near-00001")
    async with instances(1) as (app,):
        await gateway.apply(
            revision, make.ingress("near", make.rule("near.example.com", make.path({"near-00001": 100})), redirect=True)
        )
        await gateway.run_at(revision, app)
        await gateway.ready("near")

        assert (await gateway.get("near.example.com")).status == 301
        assert (await gateway.get("near.example.com", inside=True)).body == app.address


async def test_local_hosts_are_served_inside_alone_and_public_ones_on_both_sides(gateway: World) -> None:
    (revision,) = revisions("inner-00001")
    path = make.path({"inner-00001": 100})
    local = ["inner.default.svc.cluster.local", "inner.default"]
    rules = make.rule(local, path, local=True), make.rule("inner.example.com", path)
    async with instances(1) as (app,):
        await gateway.apply(revision, make.ingress("inner", *rules))
        await gateway.run_at(revision, app)
        await gateway.ready("inner")

        forged = "x-forwarded-host: inner.example.com\r\nx-envoy-internal: true\r\ntidegate.side: inside\r\n"
        for host in (*local, "INNER.default", "inner.default:8081", "inner.default.", "inner.default@local"):
            assert (await gateway.get(host, headers=forged)).status == 404
        assert app.served == 0
        for host in (*local, "INNER.default", "inner.default:8081", "inner.default."):
            assert (await gateway.get(host, inside=True)).body == app.address
        assert (await gateway.get("inner.example.com", inside=True)).body == app.address
        assert (await gateway.get("inner.example.com")).body == app.address


async def test_container_concurrency_holds_over_both_sides_together(gateway: World) -> None:
    (revision,) = revisions("shared-00001", spec=make.template(containerConcurrency=1)["spec"])
    async with instances(1) as (app,):
        await gateway.apply(revision, make.ingress("shared"))
        await gateway.run_at(revision, app)
        await gateway.ready("shared")

        asking = [gateway.get("shared.example.com", "/work/0.01", inside=number % 2 == 0) for number in range(20)]
        answers = await asyncio.gather(*asking)

    assert ({answer.status for answer in answers}, app.served, app.most) == ({200}, 20, 1)


async def test_a_host_that_becomes_local_is_no_longer_served_outside(gateway: World) -> None:
    (revision,) = revisions("moved-00001")
    path = make.path({"moved-00001": 100})
    async with instances(1) as (app,):
        await gateway.apply(revision, make.ingress("moved", make.rule("moved.example.com", path)))
        await gateway.run_at(revision, app)
        await gateway.ready("moved")
        assert (await gateway.get("moved.example.com")).status == 200

        await gateway.apply(make.ingress("moved", make.rule("moved.example.com", path, local=True)))
        await gateway.ready("moved")

        assert (await gateway.get("moved.example.com")).status == 404
        assert (await gateway.get("moved.example.com", inside=True)).body == app.address


async def test_a_revision_that_cannot_run_rejects_requests_with_its_reason(gateway: World) -> None:
    (revision,) = revisions("broken-00001")
    await gateway.apply(revision, make.ingress("broken"))
    owner = await gateway.cluster.get(kinds.REVISION, key(revision))
    await gateway.apply(make.pod(owner, status=make.crashed("no module named flask")))
    await gateway.ready("broken")

    answer = await gateway.get("broken.example.com")

    assert (answer.status, answer.reason) == (503, "ContainerFailed")
    assert "flask" not in answer.body


async def test_a_waiting_request_is_rejected_once_the_revision_cannot_run(gateway: World) -> None:
    (revision,) = revisions("breaks-00001")
    await gateway.apply(revision, make.ingress("breaks"))
    await gateway.ready("breaks")
    waiting = asyncio.create_task(gateway.get("breaks.example.com"))
    await gateway.until_report("breaks-00001", lambda report: report.queued == 1)

    owner = await gateway.cluster.get(kinds.REVISION, key(revision))
    await gateway.apply(make.pod(owner, status=make.crashed("killed")))

    assert ((await waiting).status, (await waiting).reason) == (503, "ContainerFailed")


async def test_a_missing_revision_rejects_requests(gateway: World) -> None:
    await gateway.apply(make.ingress("absent"))
    await gateway.ready("absent")

    answer = await gateway.get("absent.example.com")

    assert (answer.status, answer.reason) == (503, "RevisionMissing")


async def test_requests_wait_at_zero_until_an_instance_is_ready(gateway: World) -> None:
    (revision,) = revisions("asleep-00001")
    async with instances(1) as (app,):
        await gateway.apply(revision, make.ingress("asleep"))
        await gateway.ready("asleep")
        waiting = [asyncio.create_task(gateway.get("asleep.example.com")) for _ in range(20)]
        await gateway.until_report("asleep-00001", lambda report: report.queued == 20)
        await gateway.run_at(revision, app, ready=False)
        await gateway.run_at(revision, app)

        assert {answer.status for answer in await asyncio.gather(*waiting)} == {200}


async def test_a_draining_instance_is_withdrawn_and_others_serve(gateway: World) -> None:
    (revision,) = revisions("moving-00001")
    name = key(revision)
    async with instances(2) as (first, second):
        await gateway.apply(revision, make.ingress("moving"))
        await gateway.run_at(revision, first, "first")
        await gateway.run_at(revision, second, "other")
        await gateway.ready("moving")
        await gateway.until_report("moving-00001", lambda report: len(report.hosts) == 2)
        running = [asyncio.create_task(gateway.get("moving.example.com", "/work/0.2")) for _ in range(2)]
        await gateway.until_report("moving-00001", lambda report: report.in_flight == 2)

        asking = asyncio.create_task(gateway.publisher.withdrawn(name, first.address))
        drained = asyncio.create_task(gateway.load.drained(name, first.address))
        await asyncio.sleep(0)
        assert not asking.done()
        await gateway.delete(kinds.POD, "moving-00001-first", grace_seconds=30)
        await asking
        served = first.served
        assert not drained.done()
        assert await gateway.bodies("moving.example.com", 20) == {second.address: 20}
        assert first.served == served
        assert {answer.status for answer in await asyncio.gather(*running)} == {200}
        await drained

        await gateway.delete(kinds.POD, "moving-00001-first", grace_seconds=0)
        await gateway.until_report("moving-00001", lambda report: list(report.hosts) == [second.address])


async def test_an_ingress_is_unknown_until_the_gateways_acknowledge_it(tmp_path: Path) -> None:
    async with world(tmp_path) as gateway:
        await gateway.apply(*revisions("first-00001"), make.ingress("first"))
        found = await gateway.state("first", "Unknown")
        assert found["reason"] == "Uninitialized"
        async with gateway.envoy():
            await gateway.ready("first")


async def test_a_host_belongs_to_the_first_ingress_that_claims_it_until_it_is_released(gateway: World) -> None:
    rule = make.rule("wanted.example.com", make.path({"wanted-00001": 100}))
    own = make.rule("own.example.com", make.path({"wanted-00001": 100}))
    (revision,) = revisions("wanted-00001")
    async with instances(1) as (app,):
        await gateway.apply(revision, make.ingress("wanted", rule))
        await gateway.run_at(revision, app)
        await gateway.ready("wanted")
        await gateway.apply(make.ingress("wanting", rule, own))
        found = await gateway.state("wanting", "False")

        assert found["reason"] == "HostConflict"
        assert found["message"] == 'Host "wanted.example.com" is already served by Ingress "default/wanted".'
        assert (await gateway.answer("own.example.com")).body == app.address

        await gateway.delete(kinds.INGRESS, "wanted")
        await gateway.ready("wanting")
        assert (await gateway.get("wanted.example.com")).body == app.address


async def test_rejected_routes_are_reported_on_their_ingress_and_block_no_other(gateway: World) -> None:
    good, late = revisions("good-00001", "late-00001")
    path = make.path(
        {"late-00001": 100}, headers={"not a header name": {"exact": "x"}}, appendHeaders={"bad\nname": "x"}
    )
    async with instances(1) as (app,):
        await gateway.apply(good, late, make.ingress("late", make.rule("late.example.com", path)), make.ingress("good"))
        await gateway.run_at(good, app)
        await gateway.run_at(late, app)
        found = await gateway.state("late", "False")
        assert found["reason"] == "RejectedByGateway"
        await gateway.ready("good")
        assert (await gateway.get("good.example.com")).body == app.address

        await gateway.apply(make.ingress("late"))
        await gateway.ready("late")
        assert (await gateway.get("late.example.com")).body == app.address


async def test_a_rejected_cluster_is_reported_on_the_ingresses_that_route_to_it(gateway: World) -> None:
    odd, fine = revisions("odd-00001", "fine-00001")
    odd["spec"] = {**odd["spec"], "containerConcurrency": -1}
    async with instances(1) as (app,):
        await gateway.apply(odd, fine, make.ingress("odd"), make.ingress("fine"))
        await gateway.run_at(fine, app)
        found = await gateway.state("odd", "False")
        assert found["reason"] == "RejectedByGateway"
        await gateway.ready("fine")
        assert (await gateway.get("fine.example.com")).body == app.address


async def test_an_ingress_of_another_class_is_ignored(gateway: World) -> None:
    other = make.ingress("other", annotations={names.INGRESS_CLASS: "istio.ingress.networking.knative.dev"})
    await gateway.apply(*revisions("other-00001", "ours-00001"), other, make.ingress("ours"))
    await gateway.ready("ours")

    assert (await gateway.get("other.example.com")).status == 404
    found = await gateway.cluster.get(kinds.INGRESS, Key(make.NAMESPACE, "other"))
    assert "conditions" not in found.get("status", {})


async def test_a_deleted_service_is_removed_from_envoy(gateway: World) -> None:
    (revision,) = revisions("deleted-00001")
    async with instances(1) as (app,):
        await gateway.apply(revision, make.ingress("deleted"))
        await gateway.run_at(revision, app)
        await gateway.ready("deleted")
        assert "default/deleted-00001" in await gateway.envoys[0].admin("/clusters")
        await gateway.delete(kinds.POD, "deleted-00001-aaaaa", grace_seconds=0)
        await gateway.delete(kinds.INGRESS, "deleted")

        async def is_removed() -> bool:
            return "default/deleted-00001" not in await gateway.envoys[0].admin("/clusters")

        await eventually(is_removed)
        assert (await gateway.get("deleted.example.com")).status == 404


async def test_replaced_clusters_do_not_wait_for_endpoints(gateway: World) -> None:
    """Envoy warms a cluster that replaces another, and needs its endpoints again for that."""
    (revision,) = revisions("warm-00001")

    async def is_warm() -> bool:
        return not await gateway.envoys[0].counter("cluster_manager.warming_clusters")

    async with instances(1) as (app,):
        await gateway.apply(revision, make.ingress("warm"))
        await gateway.run_at(revision, app)
        await gateway.ready("warm")
        for concurrency in (1, 2, 3):
            spec = {**revision["spec"], "containerConcurrency": concurrency}
            await gateway.apply({**revision, "spec": spec})
            await eventually(is_warm, patience=2)
            await asyncio.gather(*[gateway.get("warm.example.com", "/work/0.02") for _ in range(12)])
            assert app.most <= max(concurrency, 1)
