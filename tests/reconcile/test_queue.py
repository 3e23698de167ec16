# SPDX-License-Identifier: Apache-2.0
import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from tidegate.kit.backoff import Backoff
from tidegate.kit.clock import VirtualClock, settle
from tidegate.reconcile.queue import WorkQueue


@asynccontextmanager
async def running(
    reconcile: Callable[[str], Awaitable[None]], clock: VirtualClock, workers: int = 4
) -> AsyncIterator[WorkQueue[str]]:
    work = WorkQueue("test", reconcile, workers=workers, clock=clock, backoff=Backoff(first=1.0, limit=4.0))
    task = asyncio.create_task(work.run())
    await settle()
    try:
        yield work
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_key_woken_many_times_before_its_turn_is_reconciled_once() -> None:
    turns: list[str] = []

    async def reconcile(key: str) -> None:
        turns.append(key)

    async with running(reconcile, VirtualClock()) as work:
        for _ in range(10):
            work.wake("a")
        await settle()

    assert turns == ["a"]


async def test_a_key_is_reconciled_by_one_worker_at_a_time_and_again_if_woken_meanwhile() -> None:
    gate = asyncio.Event()
    running_now, most, turns = 0, 0, 0

    async def reconcile(_: str) -> None:
        nonlocal running_now, most, turns
        running_now, turns = running_now + 1, turns + 1
        most = max(most, running_now)
        await gate.wait()
        running_now -= 1

    async with running(reconcile, VirtualClock()) as work:
        work.wake("a")
        await settle()
        work.wake("a")
        work.wake("a")
        await settle()
        assert turns == 1
        gate.set()
        await settle()

    assert (turns, most) == (2, 1)


async def test_a_slow_key_does_not_delay_other_keys() -> None:
    gate = asyncio.Event()
    done: list[str] = []

    async def reconcile(key: str) -> None:
        if key == "slow":
            await gate.wait()
        done.append(key)

    async with running(reconcile, VirtualClock(), workers=2) as work:
        for key in ("slow", "b", "c"):
            work.wake(key)
        await settle()
        assert done == ["b", "c"]


@pytest.mark.parametrize("error", [RuntimeError("not yet"), SystemExit(3)])
async def test_a_failing_key_is_retried_after_a_growing_wait(error: BaseException) -> None:
    clock = VirtualClock()
    attempts: list[float] = []

    async def reconcile(_: str) -> None:
        attempts.append(clock.monotonic())
        if len(attempts) < 4:
            raise error

    async with running(reconcile, clock) as work:
        start = clock.monotonic()
        work.wake("a")
        await clock.advance(30)

    assert [moment - start for moment in attempts] == [0, 1, 3, 7]


async def test_the_earliest_of_several_timers_of_a_key_counts() -> None:
    clock = VirtualClock()
    turns: list[float] = []

    async def reconcile(_: str) -> None:
        turns.append(clock.monotonic())

    async with running(reconcile, clock) as work:
        start = clock.monotonic()
        work.wake_after("a", 5)
        work.wake_after("a", 2)
        work.wake_after("a", 9)
        await clock.advance(20)

    assert [moment - start for moment in turns] == [2]


async def test_a_restarted_queue_gives_a_turn_to_cancelled_and_waiting_keys() -> None:
    clock = VirtualClock()
    turns: list[str] = []
    slow = asyncio.Event()

    async def reconcile(key: str) -> None:
        turns.append(key)
        if key == "slow":
            await slow.wait()

    async with running(reconcile, clock) as work:
        work.wake("slow")
        work.wake_after("later", 3600)
        await settle()
    assert turns == ["slow"]

    slow.set()
    again = asyncio.create_task(work.run())
    await settle()
    assert sorted(turns[1:]) == ["later", "slow"]

    work.wake_after("later", 5)
    await clock.advance(5)
    assert turns[3:] == ["later"]
    again.cancel()
    await asyncio.gather(again, return_exceptions=True)


async def test_timers_of_several_keys_fire_in_the_order_of_their_times() -> None:
    clock = VirtualClock()
    turns: list[tuple[str, float]] = []

    async def reconcile(key: str) -> None:
        turns.append((key, clock.monotonic()))

    async with running(reconcile, clock) as work:
        start = clock.monotonic()
        for key, seconds in (("c", 3), ("a", 1), ("d", 3), ("b", 2)):
            work.wake_after(key, seconds)
        await clock.advance(5)
        work.wake_after("a", 1)
        await clock.advance(1)

    assert [(key, moment - start) for key, moment in turns] == [("a", 1), ("b", 2), ("c", 3), ("d", 3), ("a", 6)]


async def test_timers_that_an_earlier_one_replaced_do_not_pile_up() -> None:
    clock = VirtualClock()
    turns = 0

    async def reconcile(_: str) -> None:
        nonlocal turns
        turns += 1

    async with running(reconcile, clock) as work:
        for _ in range(1000):
            work.wake_after("a", 3600)
            work.wake_after("a", 1)
            await clock.advance(1)
        assert turns == 1000
        await clock.advance(3600)

    assert turns == 1000
