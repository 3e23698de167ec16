# SPDX-License-Identifier: Apache-2.0
"""Lost races and rejected objects are retried, and are no errors."""

import asyncio
from itertools import pairwise

import pytest
from structlog.testing import capture_logs

from tidegate.kit.clock import VirtualClock, settle
from tidegate.model import errors
from tidegate.model.objects import Key
from tidegate.reconcile.object_queue import object_queue

HELLO = Key("default", "hello")


@pytest.mark.parametrize("race", [errors.Conflict("stale"), errors.AlreadyExists("there"), errors.NotFound("deleted")])
async def test_a_lost_race_is_retried_without_a_traceback(race: errors.ApiError) -> None:
    turns = 0

    async def reconcile(key: Key) -> None:
        nonlocal turns
        turns += 1
        if turns < 4:
            raise race

    clock = VirtualClock()
    with capture_logs() as logs:
        work = object_queue("test", reconcile, clock)
        running = asyncio.create_task(work.run())
        work.wake(HELLO)
        await clock.advance(5)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    assert turns == 4
    assert {entry["log_level"] for entry in logs} == {"debug"}


async def test_a_rejection_in_a_terminating_namespace_is_not_retried() -> None:
    cause = errors.Cause("NamespaceTerminating", "it is being deleted", "metadata.namespace")

    async def reconcile(key: Key) -> None:
        raise errors.Forbidden("no", causes=(cause,))

    with capture_logs() as logs:
        work = object_queue("test", reconcile, VirtualClock())
        running = asyncio.create_task(work.run())
        work.wake(HELLO)
        await settle()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    assert [entry["log_level"] for entry in logs] == ["debug"]


@pytest.mark.parametrize("refusal", [errors.Forbidden, errors.Invalid, errors.BadRequest, errors.TooLarge])
async def test_a_rejected_write_is_retried_after_growing_waits_without_a_traceback(
    refusal: type[errors.ApiError],
) -> None:
    turns: list[float] = []
    clock = VirtualClock()

    async def reconcile(key: Key) -> None:
        turns.append(clock.monotonic())
        raise refusal("no room")

    with capture_logs() as logs:
        work = object_queue("test", reconcile, clock)
        running = asyncio.create_task(work.run())
        work.wake(HELLO)
        await clock.advance(200)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    assert [later - sooner for sooner, later in pairwise(turns)] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert {entry["log_level"] for entry in logs} == {"info"}


async def test_an_unexpected_error_is_logged_by_the_queue() -> None:
    async def reconcile(key: Key) -> None:
        raise errors.ApiError("no")

    with capture_logs() as logs:
        work = object_queue("test", reconcile, VirtualClock())
        running = asyncio.create_task(work.run())
        work.wake(HELLO)
        await settle()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    assert [(entry["log_level"], entry["key"]) for entry in logs] == [("error", "default/hello")]
