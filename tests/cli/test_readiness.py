# SPDX-License-Identifier: Apache-2.0
"""Waiting for a Service: what ends it, and what is told on the way."""

import asyncio
from pathlib import Path

import pytest

from tests.apiserver.world import opened
from tests.cli.world import READY, service
from tidegate.cli.problems import Problem
from tidegate.cli.readiness import NotReady, wait_ready
from tidegate.model import kinds
from tidegate.model.objects import Key, Object

HELLO = Key("default", "hello")


def state(status: str, reason: str = "", message: str = "", generation: int = 1) -> Object:
    ready = {"type": "Ready", "status": status, "reason": reason, "message": message}
    return {"status": {"observedGeneration": generation, "conditions": [ready]}}


async def test_it_tells_each_reason_once_and_returns_the_ready_service(tmp_path: Path) -> None:
    told: list[str] = []
    async with opened(tmp_path) as api:
        cluster = api.as_user("tester")
        await cluster.create(kinds.SERVICE, service("hello"))
        waiting = asyncio.create_task(wait_ready(cluster, HELLO, 30, told.append))
        for reason in ("Deploying", "Deploying", "Routing"):
            await cluster.patch(kinds.SERVICE, HELLO, state("Unknown", reason, "wait"), subresource="status")
        await cluster.patch(kinds.SERVICE, HELLO, {"status": READY}, subresource="status")

        ready = await waiting

    assert ready["status"]["conditions"][0]["status"] == "True"
    assert told in (["Deploying: wait", "Routing: wait"], [])


async def test_a_failure_ends_it_with_the_reason(tmp_path: Path) -> None:
    async with opened(tmp_path) as api:
        cluster = api.as_user("tester")
        await cluster.create(kinds.SERVICE, service("hello"))
        await cluster.patch(kinds.SERVICE, HELLO, state("False", "RevisionFailed", "no luck"), subresource="status")

        with pytest.raises(NotReady, match="hello is not ready: RevisionFailed: no luck"):
            await wait_ready(cluster, HELLO, 30)


async def test_the_state_of_an_earlier_generation_ends_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as api:
        cluster = api.as_user("tester")
        await cluster.create(kinds.SERVICE, service("hello"))
        old = state("False", "RevisionFailed", "before", generation=0)
        await cluster.patch(kinds.SERVICE, HELLO, old, subresource="status")

        with pytest.raises(Problem, match=r"hello is not ready after 0\.05 s: RevisionFailed: before"):
            await wait_ready(cluster, HELLO, 0.05)


async def test_a_service_that_is_deleted_meanwhile_is_told(tmp_path: Path) -> None:
    async with opened(tmp_path) as api:
        with pytest.raises(Problem, match="hello was deleted"):
            await wait_ready(api.as_user("tester"), HELLO, 30)
