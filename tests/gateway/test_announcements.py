# SPDX-License-Identifier: Apache-2.0
"""Announcements: the node agent reports an instance before its Pod does."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from harness import make
from harness.gate import instances
from harness.gateway import PATIENCE, World, world
from tidegate.model import kinds
from tidegate.model.objects import Key, key

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with world(tmp_path_factory.mktemp("g")) as made, made.envoy():
        yield made


async def test_a_waiting_request_is_sent_to_an_announced_instance(gateway: World) -> None:
    revision = make.revision("quick-00001")
    async with instances(1) as (app,):
        await gateway.apply(revision, make.ingress("quick"))
        await gateway.ready("quick")
        waiting = asyncio.create_task(gateway.get("quick.example.com"))
        await gateway.until_report("quick-00001", lambda report: report.queued == 1)
        pod = await gateway.run_at(revision, app, ready=False)

        gateway.publisher.announce(pod, app.address)

        assert (await waiting).status == 200
        await gateway.run_at(revision, app)  # the Pod confirms the announcement
        assert (await gateway.get("quick.example.com")).status == 200


async def test_an_instance_that_is_no_longer_ready_gets_nothing_new(gateway: World) -> None:
    revision = make.revision("shy-00001")
    async with instances(2) as (first, second):
        await gateway.apply(revision, make.ingress("shy"))
        await gateway.ready("shy")
        pod = await gateway.run_at(revision, first, ready=False)
        gateway.publisher.announce(pod, first.address)
        await gateway.until_report("shy-00001", lambda report: list(report.hosts) == [first.address])

        gateway.publisher.announce(pod, None)

        await gateway.publisher.withdrawn(key(revision), first.address)
        waiting = asyncio.create_task(gateway.get("shy.example.com"))
        await gateway.until_report("shy-00001", lambda report: report.queued == 1)
        await gateway.run_at(revision, second, "other")
        assert (await waiting).status == 200
        assert first.served == 0


async def test_an_instance_that_ended_gets_nothing_new_while_its_pod_still_says_ready(gateway: World) -> None:
    revision = make.revision("ended-00001")
    async with instances(1) as (app,):
        await gateway.apply(revision, make.ingress("ended"))
        await gateway.ready("ended")
        pod = await gateway.run_at(revision, app)
        await gateway.until_report("ended-00001", lambda report: list(report.hosts) == [app.address])

        gateway.publisher.announce(pod, None)

        async with asyncio.timeout(PATIENCE):
            await gateway.publisher.withdrawn(key(revision), app.address)
        waiting = asyncio.create_task(gateway.get("ended.example.com"))
        await gateway.until_report("ended-00001", lambda report: report.queued == 1)
        assert app.served == 0

        gateway.publisher.announce(pod, app.address)  # the instance runs again, and its Pod has said ready all the time
        assert (await waiting).status == 200


async def test_an_instance_that_becomes_ready_while_its_pod_is_deleted_is_withdrawn_at_once(gateway: World) -> None:
    revision = make.revision("late-00001")
    async with instances(1) as (app,):
        await gateway.apply(revision, make.ingress("late"))
        await gateway.ready("late")
        pod = await gateway.run_at(revision, app, ready=False)
        await gateway.delete(kinds.POD, pod["metadata"]["name"], grace_seconds=30)
        deleting = await gateway.cluster.get(kinds.POD, key(pod))

        gateway.publisher.announce(deleting, app.address)

        async with asyncio.timeout(PATIENCE):
            await gateway.load.drained(key(revision), app.address)
        await gateway.delete(kinds.POD, pod["metadata"]["name"], grace_seconds=0)


async def test_an_announcement_ends_with_its_pod(gateway: World) -> None:
    revision = make.revision("brief-00001")
    async with instances(1) as (app,):
        await gateway.apply(revision, make.ingress("brief"))
        await gateway.ready("brief")
        pod = await gateway.run_at(revision, app, ready=False)
        gateway.publisher.announce(pod, app.address)
        await gateway.until_report("brief-00001", lambda report: list(report.hosts) == [app.address])

        await gateway.delete(kinds.POD, pod["metadata"]["name"], grace_seconds=0)

        await gateway.load.drained(Key(make.NAMESPACE, "brief-00001"), app.address)
        await gateway.until_report("brief-00001", lambda report: not report.hosts)
