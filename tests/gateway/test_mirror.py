# SPDX-License-Identifier: Apache-2.0
"""Mirrored traffic, through a real Envoy: clients do not notice it, and the gate counts the copies.

`hello` is served by hello-00001, and hello-00002 gets copies; hello-00002 has a host of its own as well."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from harness import make
from harness.echo import echo
from harness.gate import Instance, instances
from harness.gateway import Envoy, World, world
from tests.gateway.test_access_log import lines
from tidegate.model import names
from tidegate.model.objects import Object

HOST, OWN = "hello.example.com", "two.example.com"
ONE_AT_A_TIME = make.template(containerConcurrency=1)["spec"]
ONE = make.revision("hello-00001")
TWO = make.revision("hello-00002", generation=2, spec=ONE_AT_A_TIME)


def routes(percent: int) -> Object:
    return make.ingress("hello", annotations={names.MIRROR: f"hello-00002={percent}"})


@asynccontextmanager
async def mirrored(folder: Path, app: Instance, percent: int = 100) -> AsyncIterator[tuple[World, Envoy]]:
    """The app is the one instance of hello-00001, and hello-00002 has none."""
    own = make.ingress("two", make.rule(OWN, make.path({"hello-00002": 100})))
    async with world(folder) as gateway, gateway.envoy() as envoy:
        await gateway.apply(ONE, TWO, routes(percent), own)
        await gateway.run_at(ONE, app)
        await gateway.ready("hello")
        await gateway.ready("two")
        yield gateway, envoy


async def test_a_copy_is_the_request_with_one_more_header(tmp_path: Path) -> None:
    async with echo() as app, echo() as copy, world(tmp_path) as gateway, gateway.envoy():
        await gateway.apply(ONE, TWO, routes(100))
        await gateway.run_at(ONE, app)
        await gateway.run_at(TWO, copy)
        await gateway.ready("hello")
        async with gateway.client(HOST) as client:
            client.send("/a?b=c", b"body", headers="x-some: thing\r\ntidegate-mirror: mine\r\n")
            answer = await client.answer()
        reported = await gateway.until_report("hello-00002", lambda report: bool(report.mirrored.responses))
        served, copied = sorted(await lines(gateway, 2), key=lambda line: bool(line["mirrored"]))

    seen, of_copy = app.seen[0], copy.seen[0]
    headers, of_copys = dict(seen["headers"]), dict(of_copy["headers"])
    assert (answer.status, f'"port": {app.port}' in answer.body) == (200, True)
    assert [of_copy[part] for part in ("method", "target", "body")] == ["POST", "/a?b=c", "body"]
    assert "tidegate-mirror" not in headers
    assert of_copys.pop("tidegate-mirror") == "default/hello-00002"
    assert of_copys.pop("knative-serving-revision") == "hello-00002"
    assert of_copys.pop("x-forwarded-for").startswith(headers["x-forwarded-for"])
    assert of_copys.items() <= headers.items()
    assert (reported.requests, reported.mirrored.requests, reported.mirrored.responses, reported.responses) == (
        1,
        1,
        {200: 1},
        {},
    )
    assert [served["mirrored"], served["revision"]] == [False, "default/hello-00001"]
    assert [copied["mirrored"], copied["revision"]] == [True, "default/hello-00002"]
    assert copied["requestId"] == served["requestId"]


async def test_a_copy_starts_a_revision_at_zero_after_its_client_got_a_response(tmp_path: Path) -> None:
    async with instances(2) as (app, copy), mirrored(tmp_path, app) as (gateway, _):
        answer = await gateway.get(HOST)
        reported = await gateway.until_report("hello-00002", lambda report: report.queued == 1)
        await gateway.run_at(TWO, copy)
        await gateway.until_report("hello-00002", lambda report: report.mirrored.responses == {200: 1})

    assert (answer.status, app.served, copy.served) == (200, 1, 1)
    assert reported.concurrency_seconds >= 0
    assert reported.requests == 1


async def test_container_concurrency_counts_copies(tmp_path: Path) -> None:
    async with instances(2) as (app, copy), mirrored(tmp_path, app) as (gateway, _):
        await gateway.run_at(TWO, copy)
        answers = await asyncio.gather(
            *[gateway.get(HOST, "/work/0.005") for _ in range(30)],
            *[gateway.get(OWN, "/work/0.005") for _ in range(30)],
        )
        await gateway.until_report("hello-00002", lambda report: report.mirrored.responses == {200: 30})

    assert {answer.status for answer in answers} == {200}
    assert (copy.served, copy.most) == (60, 1)


async def test_copies_beyond_their_queue_limit_are_dropped_and_clients_keep_theirs(tmp_path: Path) -> None:
    async with instances(2) as (app, copy), mirrored(tmp_path, app) as (gateway, _):
        answers = [await gateway.get(HOST) for _ in range(105)]
        dropped = await gateway.until_report("hello-00002", lambda report: report.mirrored.requests == 105)
        async with gateway.client(OWN) as client:
            client.send("/")
            await gateway.until_report("hello-00002", lambda report: report.requests == 106)
            await gateway.run_at(TWO, copy)
            own = await client.answer()
        await gateway.until_report("hello-00002", lambda report: report.mirrored.responses == {200: 100})

    assert {answer.status for answer in answers} == {200}
    assert (dropped.queued, dropped.mirrored.refused, dropped.refused) == (100, {"queueFull": 5}, {})
    assert (own.status, copy.served, copy.most) == (200, 101, 1)


@pytest.mark.parametrize(("size", "copied"), [(900_000, True), (20_000_000, False)])
async def test_a_body_reaches_its_instance_whole_while_its_copy_waits_or_is_too_large(
    tmp_path: Path, size: int, copied: bool
) -> None:
    async with instances(2) as (app, copy), mirrored(tmp_path, app) as (gateway, _):
        async with gateway.client(HOST) as client:
            answer = await client.post("/", b"x" * size)
            await client.get()
        await gateway.until_report("hello-00002", lambda report: report.queued == 1 + copied)
        await gateway.run_at(TWO, copy)
        await gateway.until_report("hello-00002", lambda report: report.mirrored.responses == {200: 1 + copied})

    assert (answer.status, app.bytes) == (200, size)
    assert copy.bytes == size * copied


async def test_a_websocket_works_and_is_not_copied(tmp_path: Path) -> None:
    async with instances(2) as (app, copy), mirrored(tmp_path, app) as (gateway, _):
        await gateway.get(HOST)
        await gateway.until_report("hello-00002", lambda report: report.queued == 1)
        async with gateway.client(HOST) as socket:
            socket.send("/", headers="connection: upgrade\r\nupgrade: websocket\r\n")
            assert (await socket.answer()).status == 101
            socket.writer.write(b"ping")
            assert await socket.reader.readexactly(4) == b"ping"
            await gateway.run_at(TWO, copy)
            reported = await gateway.until_report("hello-00002", lambda report: report.mirrored.responses == {200: 1})

    assert (reported.mirrored.requests, copy.served) == (1, 1)


async def test_the_copy_of_a_complete_request_continues_after_the_client_disconnects(tmp_path: Path) -> None:
    async with instances(2) as (app, copy), mirrored(tmp_path, app) as (gateway, _):
        await gateway.run_at(TWO, copy)
        async with gateway.client(HOST) as client:
            client.writer.write(f"POST / HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: 10\r\n\r\nhalf".encode())
            await gateway.until_report("hello-00001", lambda report: report.in_flight == 1)
            client.abort()
        await gateway.until_report("hello-00001", lambda report: report.in_flight == 0)
        async with gateway.client(HOST) as client:
            client.send("/work/0.2")
            await gateway.until_report("hello-00002", lambda report: report.in_flight == 1)
            client.abort()
        reported = await gateway.until_report("hello-00002", lambda report: report.mirrored.responses == {200: 1})

    assert (reported.mirrored.requests, copy.served) == (1, 1)


async def test_a_share_is_mirrored_and_a_change_of_it_sends_only_the_routes_of_that_service(tmp_path: Path) -> None:
    async with instances(2) as (app, copy), mirrored(tmp_path, app, percent=30) as (gateway, envoy):
        await gateway.run_at(TWO, copy)
        await gateway.bodies(HOST, 500)
        await gateway.until_report("hello-00001", lambda report: report.requests == 500)
        reported = await gateway.until_report("hello-00002", lambda report: report.mirrored.requests > 90)
        others = ["listener_manager.lds.update_success", "cluster_manager.cds.update_success"]
        before = [await envoy.counter(name) for name in others]
        async with asyncio.timeout(20):
            await gateway.apply(routes(0))
            while (await gateway.get(HOST)).status == 200:
                copies = gateway.reports[reported.revision].mirrored.requests
                await gateway.bodies(HOST, 20)
                if gateway.reports[reported.revision].mirrored.requests == copies:
                    break
        after = [await envoy.counter(name) for name in others]

    # 500 draws at 30 %: a standard deviation of 10; six of them either way.
    assert abs(reported.mirrored.requests - 150) < 60
    assert after == before
