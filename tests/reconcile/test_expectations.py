# SPDX-License-Identifier: Apache-2.0
import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tidegate.kit.clock import VirtualClock, settle
from tidegate.reconcile.expectations import Expectations
from tidegate.reconcile.queue import WorkQueue


class World:
    """Expectations that lapse after 5 s, and when their keys were woken, in seconds from the start."""

    def __init__(self) -> None:
        self.clock = VirtualClock(start=0.0)
        self.turns: list[tuple[str, float]] = []
        self.work = WorkQueue("test", self._reconcile, clock=self.clock)
        self.expectations: Expectations[str, int] = Expectations(self.clock, 5.0, self.work.wake_after)

    async def _reconcile(self, key: str) -> None:
        self.turns.append((key, self.clock.monotonic()))


@asynccontextmanager
async def running() -> AsyncIterator[World]:
    world = World()
    task = asyncio.create_task(world.work.run())
    await settle()
    try:
        yield world
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_an_expectation_holds_until_it_is_confirmed() -> None:
    async with running() as world:
        world.expectations.expect("a", 3)
        await world.clock.advance(4)
        assert world.expectations.get("a") == 3

        world.expectations.confirm("a")

        assert world.expectations.get("a") is None
        assert len(world.expectations) == 0


async def test_an_expectation_lapses_and_wakes_its_key() -> None:
    async with running() as world:
        world.expectations.expect("a", 3)
        await world.clock.advance(4.9)
        assert world.turns == []

        await world.clock.advance(0.1)

        assert world.turns == [("a", 5.0)]
        assert world.expectations.get("a") is None


async def test_a_second_expectation_replaces_the_first_and_starts_its_time_again() -> None:
    async with running() as world:
        world.expectations.expect("a", 3)
        await world.clock.advance(4)
        world.expectations.expect("a", 4)

        await world.clock.advance(2)
        assert world.expectations.get("a") == 4
        await world.clock.advance(3)
        assert world.expectations.get("a") is None
        assert world.turns[-1] == ("a", 9.0)


async def test_a_key_is_woken_at_the_lapse_also_after_an_earlier_turn() -> None:
    async with running() as world:
        world.expectations.expect("a", 3)
        world.work.wake_after("a", 1.0)
        await world.clock.advance(1)
        assert world.expectations.get("a") == 3  # read in that turn

        await world.clock.advance(10)

        assert world.turns == [("a", 1.0), ("a", 5.0)]


async def test_subjects_of_a_key_are_confirmed_and_lapse_one_by_one() -> None:
    async with running() as world:
        world.expectations.expect("a", 1, subject="x")
        await world.clock.advance(2)
        world.expectations.expect("a", 2, subject="y")
        world.expectations.expect("a", 3, subject="z")
        assert world.expectations.all("a") == {"x": 1, "y": 2, "z": 3}

        world.expectations.confirm("a", "z")
        await world.clock.advance(3)
        assert world.expectations.all("a") == {"y": 2}
        assert world.expectations.get("a", "y") == 2
        await world.clock.advance(2)
        assert world.expectations.all("a") == {}
        assert world.turns == [("a", 5.0), ("a", 7.0)]


async def test_a_forgotten_key_has_no_expectation() -> None:
    async with running() as world:
        world.expectations.expect("a", 1, subject="x")
        world.expectations.expect("b", 1)

        world.expectations.forget("a")

        assert world.expectations.all("a") == {}
        assert world.expectations.get("b") == 1


async def test_an_expectation_without_a_timeout_never_lapses() -> None:
    clock = VirtualClock()
    expectations: Expectations[str, int] = Expectations(clock)
    expectations.expect("a", 3)

    await clock.advance(1_000_000)

    assert expectations.get("a") == 3


def test_a_timeout_needs_a_queue() -> None:
    with pytest.raises(ValueError):
        Expectations(VirtualClock(), timeout=5.0)


async def test_ten_thousand_expectations_cost_one_task() -> None:
    async with running() as world:
        before = len(asyncio.all_tasks())
        for number in range(10_000):
            world.expectations.expect(f"key {number}", number)

        assert len(asyncio.all_tasks()) == before + 1

        await world.clock.advance(5)
        await settle(10_000)
        assert len(world.turns) == 10_000
