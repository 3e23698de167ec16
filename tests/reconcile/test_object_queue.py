# SPDX-License-Identifier: Apache-2.0
"""Lost races and rejected objects are retried, and are no errors."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from itertools import pairwise
from typing import Any

import pytest
from structlog.testing import capture_logs

from tidegate.kit.clock import VirtualClock
from tidegate.model import errors
from tidegate.model.objects import Key
from tidegate.reconcile.object_queue import object_queue

HELLO = Key("default", "hello")

Logs = Sequence[MutableMapping[str, Any]]


async def run(reconcile: Callable[[Key], Awaitable[None]], clock: VirtualClock, seconds: float = 0) -> Logs:
    """Wake one key, let the time pass, and return what was logged."""
    with capture_logs() as logs:
        work = object_queue("test", reconcile, clock)
        running = asyncio.create_task(work.run())
        work.wake(HELLO)
        await clock.advance(seconds)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    return logs


@pytest.mark.parametrize("race", [errors.Conflict("stale"), errors.AlreadyExists("there"), errors.NotFound("deleted")])
async def test_a_lost_race_is_retried_without_a_traceback(race: errors.ApiError) -> None:
    turns = 0

    async def reconcile(key: Key) -> None:
        nonlocal turns
        turns += 1
        if turns < 4:
            raise race

    logs = await run(reconcile, VirtualClock(), seconds=5)

    assert turns == 4
    assert {entry["log_level"] for entry in logs} == {"debug"}


async def test_a_rejection_in_a_terminating_namespace_is_not_retried() -> None:
    turns = 0

    async def reconcile(key: Key) -> None:
        nonlocal turns
        turns += 1
        cause = errors.Cause("NamespaceTerminating", "it is being deleted", "metadata.namespace")
        raise errors.Forbidden("no", causes=(cause,))

    logs = await run(reconcile, VirtualClock(), seconds=100)

    assert turns == 1
    assert [entry["log_level"] for entry in logs] == ["debug"]


@pytest.mark.parametrize("rejection", [errors.Forbidden, errors.Invalid, errors.BadRequest, errors.TooLarge])
async def test_a_rejected_write_is_retried_after_growing_waits_without_a_traceback(
    rejection: type[errors.ApiError],
) -> None:
    turns: list[float] = []
    clock = VirtualClock()

    async def reconcile(key: Key) -> None:
        turns.append(clock.monotonic())
        raise rejection("no room")

    logs = await run(reconcile, clock, seconds=200)

    assert [later - sooner for sooner, later in pairwise(turns)] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert {entry["log_level"] for entry in logs} == {"info"}


async def test_an_unexpected_error_is_logged_by_the_queue() -> None:
    async def reconcile(key: Key) -> None:
        raise errors.ApiError("no")

    logs = await run(reconcile, VirtualClock())

    assert [(entry["log_level"], entry["key"]) for entry in logs] == [("error", "default/hello")]
