# SPDX-License-Identifier: Apache-2.0
"""The one thread that writes: whatever queued up while a commit was under way goes into the next commit together.

In: rows and chores from the event loop. Out: `on_done(rows, error)` on the event loop, in the order of submission, once
they are durable or have failed.
"""

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple

import structlog

from tidegate.store.log import Log, Row, is_damage, why

_BATCH = 1000
"""Rows in one commit at most; five parameters each stay far below SQLite's limit of 32766 in a statement."""

Done = Callable[[Sequence[Row], Exception | None], None]


class Forget(NamedTuple):
    """Rows to drop, and the horizon that this sets. `done` is called on the event loop when that was tried."""

    revisions: Sequence[int]
    horizon: int
    done: Callable[[], None] | None = None


class Writer:
    """Owns the log from `start` to `stop`."""

    def __init__(self, log: Log, on_done: Done) -> None:
        self._log = log
        self._on_done = on_done
        self._dead: list[int] = []
        self._queue: queue.SimpleQueue[Row | Forget | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="store writer")
        self._logger = structlog.get_logger("store")

    def start(self) -> None:
        """Begin to write; outcomes are told on the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    async def stop(self) -> None:
        """Write what is queued, then end."""
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def submit(self, item: Row | Forget) -> None:
        self._queue.put(item)

    def _run(self) -> None:
        running = True
        while running:
            items = self._waiting()
            self._append([item for item in items if isinstance(item, Row)])
            for item in items:
                if isinstance(item, Forget):
                    self._forget(item)
            running = None not in items

    def _waiting(self) -> list[Row | Forget | None]:
        """Everything that is queued now; waits for the first."""
        items = [self._queue.get()]
        while len(items) < _BATCH and not self._queue.empty():
            items.append(self._queue.get())
        return items

    def _append(self, rows: Sequence[Row]) -> None:
        if not rows:
            return
        failure = None
        try:
            self._log.append(rows)
        except Exception as error:  # whatever it is (memory that runs out): those who wait must hear of it
            failure = error
        self._loop.call_soon_threadsafe(self._on_done, rows, failure)

    def _forget(self, forget: Forget) -> None:
        self._dead += forget.revisions
        try:
            self._log.forget(self._dead, forget.horizon)
            self._dead = []
        except Exception as error:  # as in `_append`; the next time they are dropped with the others
            self._logger.warning("old rows could not be dropped", error=why(error))
            if is_damage(error):
                self._loop.call_soon_threadsafe(self._on_done, (), error)
        if forget.done is not None:
            self._loop.call_soon_threadsafe(forget.done)
