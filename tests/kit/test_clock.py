# SPDX-License-Identifier: Apache-2.0
import asyncio

from tidegate.kit.clock import VirtualClock


async def test_sleepers_wake_in_the_order_of_their_times_with_the_clock_at_each() -> None:
    clock = VirtualClock(start=0)
    woken: list[tuple[str, float]] = []

    async def sleeper(name: str, seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append((name, clock.monotonic()))

    async with asyncio.TaskGroup() as group:
        group.create_task(sleeper("late", 3))
        group.create_task(sleeper("early", 1))
        await clock.advance(2)
        assert woken == [("early", 1)]
        await clock.advance(1)

    assert woken == [("early", 1), ("late", 3)]


async def test_wall_time_moves_with_the_clock() -> None:
    clock = VirtualClock()
    before = clock.wall()

    await clock.advance(90)

    assert (clock.wall() - before).total_seconds() == 90
