# SPDX-License-Identifier: Apache-2.0
"""Timers of keys: one per key, and one task for all of them.

In: keys and delays. Out: a call of `fire(key)` when a delay has passed. Called by: `queue`.
"""

import asyncio
import heapq
import itertools
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from tidegate.kit.clock import Clock

K = TypeVar("K", bound=Hashable)

_FEW = 100  # replaced times that may stay in the heap besides as many as there are keys


class Timers(Generic[K]):
    """The keys that are due later. A single task sleeps until the earliest one, so 10,000 timers cost no more tasks
    than one."""

    def __init__(self, clock: Clock, fire: Callable[[K], None]) -> None:
        self._clock = clock
        self._fire = fire
        self._due: dict[K, float] = {}
        self._heap: list[tuple[float, int, K]] = []  # may hold times that an earlier one has replaced
        self._order = itertools.count()
        self._task: asyncio.Task[None] | None = None
        self._until = 0.0  # when the task wakes up

    def set(self, key: K, seconds: float, group: asyncio.TaskGroup) -> None:
        """Fire for `key` in `seconds`, unless it is due earlier already. `group` owns the task that waits."""
        due = self._clock.monotonic() + seconds
        if self._due.get(key, due + 1.0) <= due:
            return
        self._due[key] = due
        heapq.heappush(self._heap, (due, next(self._order), key))
        if len(self._heap) > 2 * len(self._due) + _FEW:
            self._heap = [entry for entry in self._heap if self._due.get(entry[2]) == entry[0]]
            heapq.heapify(self._heap)
        is_asleep = self._task is not None and not self._task.done()
        if is_asleep and self._until <= due:
            return
        if is_asleep and self._task is not None:
            self._task.cancel()
        self._until = due
        self._task = group.create_task(self._wait(), name="timers")

    def fire_all(self) -> None:
        """Fire for every key at once."""
        due, self._due, self._task = self._due, {}, None
        self._heap.clear()
        for key in due:
            self._fire(key)

    async def _wait(self) -> None:
        while self._heap:
            due, _, key = self._heap[0]
            if self._due.get(key) != due:
                heapq.heappop(self._heap)
                continue
            self._until = due
            left = due - self._clock.monotonic()
            if left > 0:
                await self._clock.sleep(left)
                continue
            heapq.heappop(self._heap)
            del self._due[key]
            self._fire(key)
