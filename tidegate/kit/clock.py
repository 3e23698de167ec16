# SPDX-License-Identifier: Apache-2.0
"""Time as an argument: the real clock, and a virtual one that tests turn.

`monotonic` is for windows, ages and deadlines (seconds, CLOCK_MONOTONIC, which is also what the gate stamps its
counters with); `wall` is only for time stamps that people read.
"""

import asyncio
import heapq
import itertools
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """The clock of code that waits or measures."""

    def monotonic(self) -> float:
        """Seconds since an arbitrary start; never decreases."""

    def wall(self) -> datetime:
        """The time of day, in UTC."""

    async def sleep(self, seconds: float) -> None:
        """Return once `seconds` have passed on this clock."""


class RealClock:
    """The machine's own clock."""

    def monotonic(self) -> float:
        return time.monotonic()

    def wall(self) -> datetime:
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class VirtualClock:
    """A clock that stands still until `advance` turns it: sleepers wake in order, each with all that it starts."""

    def __init__(self, start: float = 1000.0, wall: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._now = start
        self._epoch = wall - timedelta(seconds=start)
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def monotonic(self) -> float:
        return self._now

    def wall(self) -> datetime:
        return self._epoch + timedelta(seconds=self._now)

    async def sleep(self, seconds: float) -> None:
        woken = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + max(seconds, 0.0), next(self._order), woken))
        await woken

    async def advance(self, seconds: float) -> None:
        """Turn the clock by `seconds`, waking the sleepers of that time in order."""
        await settle()
        end = self._now + seconds
        while self._sleepers and self._sleepers[0][0] <= end:
            self._now, _, woken = heapq.heappop(self._sleepers)
            if not woken.done():
                woken.set_result(None)
                await settle()
        self._now = end
        await settle()


async def settle(turns: int = 50) -> None:
    """Let every task that can run do so: enough turns of the event loop for a chain of wake-ups to end."""
    for _ in range(turns):
        await asyncio.sleep(0)
