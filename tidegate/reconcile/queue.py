# SPDX-License-Identifier: Apache-2.0
"""A work queue of keys with its workers: an event wakes a key, and a worker brings the world in line for that key.

In: keys, from informer handlers and timers. Out: calls of `reconcile(key)`. Called by: every reconciler. What holds:

- a key that is woken several times before its turn is reconciled once;
- one worker at a time reconciles a key; a key that is woken meanwhile gets another turn afterwards;
- if a reconcile raises, the queue logs the error with the key and retries after a backoff; nothing else catches it;
- a stopped queue may run again: a key whose turn was cancelled, or that waited for a timer, then gets a turn at once.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

import structlog

from tidegate.kit.backoff import Backoff
from tidegate.kit.clock import Clock, RealClock
from tidegate.kit.supervision import reason
from tidegate.reconcile.timers import Timers

K = TypeVar("K", bound=Hashable)


class WorkQueue(Generic[K]):
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
        self._due: set[K] = set()  # woken, not yet started
        self._running: set[K] = set()
        self._timers: Timers[K] = Timers(self._clock, self.wake)
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
        """Give `key` a turn in `seconds`. If it is called several times for a key, the earliest time counts. In a queue
        that does not run, the key gets its turn when the queue starts."""
        if self._group is None:
            self.wake(key)
        else:
            self._timers.set(key, seconds, self._group)

    async def run(self) -> None:
        """Reconcile woken keys until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                for number in range(self._workers):
                    group.create_task(self._work(), name=f"{self.name} worker {number}")
        finally:
            self._group = None
            self._timers.fire_all()

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
        except (Exception, SystemExit) as error:  # exit() of an extension must not end the process
            delay = self._backoff.next(key)
            is_first = delay == self._backoff.first  # log the traceback once per series of failures
            self._log.error("reconcile failed", key=str(key), error=reason(error), retry_in=delay, exc_info=is_first)
            self.wake_after(key, delay)
        else:
            self._backoff.forget(key)
        finally:
            self._running.discard(key)
            if key in self._due:
                self._ready.put_nowait(key)
