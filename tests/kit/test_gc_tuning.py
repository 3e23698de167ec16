# SPDX-License-Identifier: Apache-2.0
import asyncio
import gc
import weakref

from tidegate.kit import gc_tuning
from tidegate.kit.clock import VirtualClock


class Cycle:
    def __init__(self) -> None:
        self.itself = self


async def test_full_collections_are_off_and_old_objects_are_frozen() -> None:
    before = gc.get_threshold()
    clock = VirtualClock()
    running = asyncio.create_task(gc_tuning.run(clock))
    await clock.advance(0)

    assert gc.get_threshold()[2] >= 1_000_000
    frozen = gc.get_freeze_count()
    kept = [Cycle() for _ in range(1000)]
    await clock.advance(61)
    assert gc.get_freeze_count() >= frozen + len(kept)

    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert (gc.get_threshold(), gc.get_freeze_count()) == (before, 0)


async def test_a_cycle_among_old_objects_is_collected_within_hours() -> None:
    clock = VirtualClock()
    running = asyncio.create_task(gc_tuning.run(clock))
    await clock.advance(0)
    cycle = Cycle()
    reference = weakref.ref(cycle)
    await clock.advance(61)

    del cycle
    await clock.advance(6 * 3600)

    assert reference() is None
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
