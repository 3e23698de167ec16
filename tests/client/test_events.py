# SPDX-License-Identifier: Apache-2.0
import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from harness.apiserver import cluster_of, opened
from tidegate.apiserver.registry.api import Api
from tidegate.client.events import Recorder
from tidegate.kit.clock import VirtualClock
from tidegate.model import kinds
from tidegate.model.objects import Key, Object

ABOUT: Object = {
    "apiVersion": "serving.knative.dev/v1",
    "kind": "Service",
    "metadata": {"name": "hello", "namespace": "default", "uid": "u-1"},
}


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with opened(tmp_path) as api:
        yield api


async def events(api: Api, recorder: Recorder, clock: VirtualClock, count: int) -> list[Object]:
    """The stored Events, after `count` writes."""
    running = asyncio.create_task(recorder.run())
    with api.watch(kinds.EVENT, since=0) as watch:
        for _ in range(count):
            await anext(watch)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return api.list(kinds.EVENT, "default").items


async def test_an_event_names_its_object_and_its_component(api: Api) -> None:
    clock = VirtualClock()
    recorder = Recorder(cluster_of(api, "tests"), "service-controller", clock)

    recorder.normal(ABOUT, "Created", 'Created Configuration "hello"')

    (event,) = await events(api, recorder, clock, 1)
    assert event["involvedObject"] == {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "name": "hello",
        "namespace": "default",
        "uid": "u-1",
    }
    assert (event["type"], event["reason"], event["message"]) == ("Normal", "Created", 'Created Configuration "hello"')
    assert event["source"] == {"component": "service-controller"}
    assert event["count"] == 1


async def test_a_repeated_report_raises_the_count_and_a_different_one_is_another_event(api: Api) -> None:
    clock = VirtualClock()
    recorder = Recorder(cluster_of(api, "tests"), "tests", clock)

    recorder.warning(ABOUT, "InternalError", "no luck")
    recorder.warning(ABOUT, "InternalError", "no luck")
    recorder.warning(ABOUT, "InternalError", "still no luck")

    counts = {event["message"]: event["count"] for event in await events(api, recorder, clock, 3)}
    assert counts == {"no luck": 2, "still no luck": 1}


async def test_the_same_report_after_ten_minutes_is_a_new_event(api: Api) -> None:
    clock = VirtualClock()
    recorder = Recorder(cluster_of(api, "tests"), "tests", clock)
    recorder.normal(ABOUT, "Created", "once")
    await events(api, recorder, clock, 1)

    await clock.advance(601)
    recorder.normal(ABOUT, "Created", "once")

    assert [event["count"] for event in await events(api, recorder, clock, 2)] == [1, 1]


async def test_a_deleted_event_is_created_again(api: Api) -> None:
    clock = VirtualClock()
    recorder = Recorder(cluster_of(api, "tests"), "tests", clock)
    recorder.normal(ABOUT, "Created", "once")
    (event,) = await events(api, recorder, clock, 1)
    await api.delete(kinds.EVENT, Key("default", event["metadata"]["name"]))

    recorder.normal(ABOUT, "Created", "once")

    (again,) = await events(api, recorder, clock, 3)
    assert (again["count"], again["metadata"]["uid"] == event["metadata"]["uid"]) == (1, False)


async def test_a_report_about_a_deleted_namespace_is_skipped(api: Api) -> None:
    clock = VirtualClock()
    recorder = Recorder(cluster_of(api, "tests"), "tests", clock)
    about = {**ABOUT, "metadata": {**ABOUT["metadata"], "namespace": "deleted"}}

    recorder.normal(about, "Created", "nowhere to write")
    recorder.normal(ABOUT, "Created", "x" * 5000)

    (event,) = await events(api, recorder, clock, 1)
    assert len(event["message"]) == 1024
