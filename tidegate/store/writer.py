# SPDX-License-Identifier: Apache-2.0
"""The one thread that writes. Rows that arrive during a commit share the next commit.

In: rows and deletions, from the event loop. Out: `on_done(rows, error)` on the event loop, in the order of submission,
when the rows are durable or have failed.
"""

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple

import structlog

from tidegate.store.database import Database, VersionRow, is_damage, reason

_MAX_ROWS = 1000
"""Rows in one commit; with five parameters each, far below SQLite's limit of 32766 parameters in a statement."""

Done = Callable[[Sequence[VersionRow], Exception | None], None]


class RowDeletion(NamedTuple):
    """Rows to delete, and the new horizon. `done` is called on the event loop after the attempt."""

    revisions: Sequence[int]
    horizon: int
    done: Callable[[], None] | None = None


class WriterThread:
    """Owns the database from `start` to `stop`."""

    def __init__(self, database: Database, on_done: Done) -> None:
        self._database = database
        self._on_done = on_done
        self._obsolete: list[int] = []
        self._queue: queue.SimpleQueue[VersionRow | RowDeletion | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="store writer")
        self._logger = structlog.get_logger("store")

    def start(self) -> None:
        """Start the thread. Results are reported on the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    async def stop(self) -> None:
        """Write the queued rows, then end the thread."""
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def submit(self, item: VersionRow | RowDeletion) -> None:
        self._queue.put(item)

    def _run(self) -> None:
        running = True
        while running:
            items = self._queued()
            self._append([item for item in items if isinstance(item, VersionRow)])
            for item in items:
                if isinstance(item, RowDeletion):
                    self._delete(item)
            running = None not in items

    def _queued(self) -> list[VersionRow | RowDeletion | None]:
        """All queued items; waits for the first one."""
        items = [self._queue.get()]
        while len(items) < _MAX_ROWS and not self._queue.empty():
            items.append(self._queue.get())
        return items

    def _append(self, rows: Sequence[VersionRow]) -> None:
        if not rows:
            return
        failure = None
        try:
            self._database.append(rows)
        except Exception as error:  # any error, e.g. MemoryError: the callers that wait must be notified
            failure = error
        self._loop.call_soon_threadsafe(self._on_done, rows, failure)

    def _delete(self, deletion: RowDeletion) -> None:
        self._obsolete += deletion.revisions
        try:
            self._database.delete(self._obsolete, deletion.horizon)
            self._obsolete = []
        except Exception as error:  # as in `_append`; the next deletion retries these rows
            self._logger.warning("cannot delete old rows", error=reason(error))
            if is_damage(error):
                self._loop.call_soon_threadsafe(self._on_done, (), error)
        if deletion.done is not None:
            self._loop.call_soon_threadsafe(deletion.done)
