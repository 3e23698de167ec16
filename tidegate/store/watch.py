# SPDX-License-Identifier: Apache-2.0
"""A change, and one watcher's queue of them.

The store offers every durable change to every watch of its resource; a watch keeps what its selection lets through
until its reader comes for it. One that falls too far behind is cut off: its reader gets `Expired` and lists again.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import NamedTuple

from tidegate.model import errors
from tidegate.model.objects import Key, Object

Select = Callable[[Object], bool]

_AT_ONCE = 100
"""Changes of history that are selected in one turn of the event loop."""


class Change(NamedTuple):
    """What happened to one object at one revision: `old` is None where it came to be, `new` where it went."""

    revision: int
    resource: str
    key: Key
    old: Object | None
    new: Object | None


class Watch:
    """An async iterator of changes, ended by `close`. Use it from one task."""

    def __init__(self, namespace: str, select: Select | None, limit: int) -> None:
        self._namespace = namespace
        self._select = select
        self._limit = limit
        self._past: deque[Change] = deque()  # not selected from yet
        self._changes: deque[Change] = deque()
        self._ended: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None

    def replay(self, changes: Iterable[Change]) -> None:
        """Take in history, however long."""
        self._past.extend(changes)

    def offer(self, change: Change, horizon: int) -> None:
        """Take in a change that has just become durable; up to `horizon` the store itself has forgotten all."""
        selected = self._selected(change)
        if selected is None or self._ended is not None:
            return
        waiting = self._past or self._changes
        if waiting and (len(self._changes) >= self._limit or waiting[0].revision <= horizon):
            self._end(errors.Expired("the watch fell too far behind: list again"))
            self._past.clear()
            self._changes.clear()
            return
        self._changes.append(selected)
        self._wake()

    def close(self) -> None:
        """End the iteration once what is queued has been read."""
        self._end(StopAsyncIteration())

    async def ready(self) -> None:
        """Return once there is something to read, or the watch has ended."""
        while not self.is_behind and self._ended is None:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter

    @property
    def is_behind(self) -> bool:
        """Whether something may be left to `take`."""
        return bool(self._past or self._changes)

    def take(self) -> list[Change]:
        """What is queued; of history a part at a time, of which nothing may be selected. Raises `Expired` or
        `StopAsyncIteration` when nothing is queued and nothing will be."""
        if not self.is_behind and self._ended is not None:
            raise self._ended
        part = [self._past.popleft() for _ in range(min(len(self._past), _AT_ONCE))]
        taken = [selected for change in part if (selected := self._selected(change)) is not None]
        if not self._past:
            taken += self._changes
            self._changes.clear()
        return taken

    def __aiter__(self) -> "Watch":
        return self

    async def __anext__(self) -> Change:
        while True:
            await self.ready()
            if self._past:
                if (selected := self._selected(self._past.popleft())) is not None:
                    return selected
            elif self._changes:
                return self._changes.popleft()
            elif self._ended is not None:
                raise self._ended

    def _selected(self, change: Change) -> Change | None:
        """The change as this watch sees it: an object that begins or ceases to be selected comes or goes."""
        if self._namespace and change.key.namespace != self._namespace:
            return None
        if self._select is None:
            return change
        old = change.old if change.old is not None and self._select(change.old) else None
        new = change.new if change.new is not None and self._select(change.new) else None
        if old is None and new is None:
            return None
        return change._replace(old=old, new=new)

    def _end(self, how: Exception) -> None:
        self._ended = self._ended or how
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
