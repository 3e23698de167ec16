# SPDX-License-Identifier: Apache-2.0
"""Lost races are taken calmly, and nothing is written that is there already."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests import make
from tests.apiserver.world import cluster_of, opened
from tidegate.client.events import Recorder
from tidegate.client.informers import Informers
from tidegate.kit.clock import VirtualClock, settle
from tidegate.model import errors
from tidegate.model.conditions import Conditions
from tidegate.model.objects import Key, Object
from tidegate.reconcile.writer import Verdict, Writer, heard, mark, queue

HELLO = Key("default", "hello")


@pytest.mark.parametrize("race", [errors.Conflict("stale"), errors.AlreadyExists("there"), errors.NotFound("gone")])
async def test_a_lost_race_is_tried_again_without_a_traceback(race: errors.ApiError) -> None:
    turns = 0

    async def reconcile(key: Key) -> None:
        nonlocal turns
        turns += 1
        if turns < 4:
            raise race

    clock = VirtualClock()
    with capture_logs() as logs:
        work = queue("test", reconcile, clock)
        running = asyncio.create_task(work.run())
        work.wake(HELLO)
        await clock.advance(5)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    assert turns == 4
    assert {entry["log_level"] for entry in logs} == {"debug"}


async def test_a_namespace_that_is_going_needs_nothing_made() -> None:
    cause = errors.Cause("NamespaceTerminating", "it goes", "metadata.namespace")

    async def reconcile(key: Key) -> None:
        raise errors.Forbidden("no", causes=(cause,))

    with capture_logs() as logs:
        work = queue("test", reconcile, VirtualClock())
        running = asyncio.create_task(work.run())
        work.wake(HELLO)
        await settle()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    assert [entry["log_level"] for entry in logs] == ["debug"]


@pytest.mark.parametrize("refusal", [errors.Forbidden, errors.Invalid, errors.BadRequest, errors.TooLarge])
async def test_what_is_refused_is_tried_now_and_then_without_a_traceback(refusal: type[errors.ApiError]) -> None:
    turns: list[float] = []
    clock = VirtualClock()

    async def reconcile(key: Key) -> None:
        turns.append(clock.monotonic())
        raise refusal("no room")

    with capture_logs() as logs:
        work = queue("test", reconcile, clock)
        running = asyncio.create_task(work.run())
        work.wake(HELLO)
        await clock.advance(200)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    assert [later - sooner for sooner, later in pairwise(turns)] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert {entry["log_level"] for entry in logs} == {"info"}


async def test_what_nobody_expects_is_the_queues_to_log() -> None:
    async def reconcile(key: Key) -> None:
        raise errors.ApiError("no")

    with capture_logs() as logs:
        work = queue("test", reconcile, VirtualClock())
        running = asyncio.create_task(work.run())
        work.wake(HELLO)
        await settle()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    assert [(entry["log_level"], entry["key"]) for entry in logs] == [("error", "default/hello")]


@asynccontextmanager
async def writing(folder: Path) -> AsyncIterator[tuple[Writer, Informers]]:
    async with opened(folder) as api:
        cluster = cluster_of(api, "controllers")
        yield Writer(cluster, Recorder(cluster, "controllers")), Informers(cluster)


async def test_a_status_is_written_when_it_differs_or_the_generation_does(tmp_path: Path) -> None:
    async with writing(tmp_path) as (writer, informers):
        route = await writer.create(informers.routes, make.new(make.route()))

        told = await writer.update_status(informers.routes, route, {"url": "http://hello"})
        again = await writer.update_status(informers.routes, told, {"url": "http://hello"})

        assert told["status"] == {"url": "http://hello", "observedGeneration": 1}
        assert again is told
        assert informers.routes.get(HELLO) is told, "the informer has learned the answer"


async def test_a_child_is_aligned_only_where_it_differs_and_keeps_what_is_not_ours(tmp_path: Path) -> None:
    async with writing(tmp_path) as (writer, informers):
        existing = await writer.create(informers.routes, {**make.new(make.route()), "extra": "stays"})
        assert await writer.align(informers.routes, existing, make.route()) is existing

        aligned = await writer.align(informers.routes, existing, make.route(labels={"a": "b"}))

        assert (aligned["metadata"]["labels"], aligned["extra"]) == ({"a": "b"}, "stays")


async def test_deleting_what_is_gone_or_another_one_by_now_is_fine(tmp_path: Path) -> None:
    async with writing(tmp_path) as (writer, informers):
        old = await writer.create(informers.pods, _pod())
        await writer.delete(informers.pods, old)
        await writer.delete(informers.pods, old)

        young = await writer.create(informers.pods, {**_pod(), "metadata": {**_pod()["metadata"]}})
        await writer.delete(informers.pods, old)

        assert young["metadata"]["uid"] != old["metadata"]["uid"]


def _pod() -> Object:
    return make.new(make.pod(make.revision()))


def test_a_verdict_is_taken_over_word_for_word() -> None:
    said = make.observed(make.route(), Ready=("False", "Why", "Because."))
    conditions = Conditions(make.service(), ("RoutesReady",), VirtualClock().wall())

    mark(conditions, "RoutesReady", heard(said))

    found = conditions.get("RoutesReady")
    assert (found["status"], found["reason"], found["message"]) == ("False", "Why", "Because.")
    mark(conditions, "RoutesReady", Verdict("True"))
    assert conditions.get("Ready")["status"] == "True"
