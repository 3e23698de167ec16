# SPDX-License-Identifier: Apache-2.0
"""A keyed work queue with its workers: an event wakes a key, a worker brings the world in line for it.

In: keys, from informer handlers and timers. Out: calls of `reconcile(key)`. What holds:

- a key that is woken many times before its turn is worked on once;
- one key is worked on by one worker at a time; woken meanwhile, it has another turn afterwards;
- a reconcile that raises is logged here, with its key, and tried again after a backoff; nothing else catches it;
- a queue that was stopped may run again: keys whose turn was cut off, or that waited for a time, then have one.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

import structlog

from tidegate.kit.backoff import Backoff
from tidegate.kit.clock import Clock, RealClock
from tidegate.kit.supervision import reason

K = TypeVar("K", bound=Hashable)


class Work(Generic[K]):
    """Keys to reconcile, and the loop that reconciles them."""

    def __init__(
        self,
        name: str,
        reconcile: Callable[[K], Awaitable[None]],
        *,
        workers: int = 4,
        clock: Clock | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        self.name = name
        self._reconcile = reconcile
        self._workers = workers
        self._clock = clock or RealClock()
        self._backoff = backoff or Backoff()
        self._ready: asyncio.Queue[K] = asyncio.Queue()
        self._due: set[K] = set()  # woken and not yet started
        self._running: set[K] = set()
        self._timers: dict[K, tuple[float, asyncio.Task[None]]] = {}
        self._group: asyncio.TaskGroup | None = None
        self._log = structlog.get_logger(name)

    def wake(self, key: K) -> None:
        """Give `key` a turn as soon as a worker is free."""
        if key in self._due:
            return
        self._due.add(key)
        if key not in self._running:
            self._ready.put_nowait(key)

    def wake_after(self, key: K, seconds: float) -> None:
        """Give `key` a turn in `seconds`, or as soon as the queue runs; of several such calls the earliest counts."""
        if self._group is None:
            self.wake(key)
            return
        due = self._clock.monotonic() + seconds
        pending = self._timers.get(key)
        if pending is not None:
            if pending[0] <= due:
                return
            pending[1].cancel()
        self._timers[key] = (
            due,
            self._group.create_task(self._wake_later(key, seconds), name=f"{self.name} timer {key}"),
        )

    async def _wake_later(self, key: K, seconds: float) -> None:
        await self._clock.sleep(seconds)
        self._timers.pop(key, None)
        self.wake(key)

    async def run(self) -> None:
        """Reconcile woken keys until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                for number in range(self._workers):
                    group.create_task(self._work(), name=f"{self.name} worker {number}")
        finally:
            self._group = None
            for key in list(self._timers):  # their tasks have ended with the group
                del self._timers[key]
                self.wake(key)

    async def _work(self) -> None:
        while True:
            await self._turn(await self._ready.get())

    async def _turn(self, key: K) -> None:
        self._due.discard(key)
        self._running.add(key)
        try:
            await self._reconcile(key)
        except asyncio.CancelledError:
            self.wake(key)
            raise
        except Exception as error:
            delay = self._backoff.next(key)
            is_first = delay == self._backoff.first  # a key that keeps failing has its traceback in the log once
            self._log.error("reconcile failed", key=str(key), error=reason(error), retry_in=delay, exc_info=is_first)
            self.wake_after(key, delay)
        else:
            self._backoff.forget(key)
        finally:
            self._running.discard(key)
            if key in self._due:
                self._ready.put_nowait(key)
