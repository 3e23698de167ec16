# SPDX-License-Identifier: Apache-2.0
"""A namespace's quota limits its Pods; requests wait for the existing instances."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.platform import Platform, eventually, running, send, service
from tidegate.model.conditions import condition
from tidegate.model.objects import Object

pytestmark = [pytest.mark.flow, pytest.mark.needs("kubectl")]


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    """A Tidegate for one test, since the quota would block other tests."""
    with running(tmp_path / "home") as platform:
        yield platform


def at_most(pods: int) -> Object:
    named = {"name": "few", "namespace": "default"}
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": named, "spec": {"hard": {"pods": str(pods)}}}


async def test_pods_beyond_the_quota_are_refused_and_created_when_the_quota_grows(platform: Platform) -> None:
    platform.apply(at_most(2), service("crowd", containerConcurrency=1))
    platform.wait_ready("crowd")
    message = "exceeded quota: few, requested: pods=1, used: pods=2, limited: pods=2"

    def is_reported() -> bool:
        resources = condition(platform.get("revision", "crowd-00001"), "ResourcesAvailable")
        return resources.get("reason") == "FailedCreate" and message in resources.get("message", "")

    async with platform.client("crowd") as client:
        sending = asyncio.create_task(send(client, 60, at_once=10, path="/?sleep=0.5"))
        await eventually(is_reported, "the report of the rejected Pods")
        assert len(platform.pods("crowd-00001")) == 2
        events = json.loads(platform.kubectl("get", "events", "-o", "json"))["items"]
        assert any(event["reason"] == "FailedCreate" and message in event["message"] for event in events)

        platform.apply(at_most(4))

        await eventually(lambda: len(platform.pods("crowd-00001")) == 4, "as many Pods as are allowed now")
        assert await sending == {"200 hello crowd-00001": 60}
