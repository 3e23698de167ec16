# SPDX-License-Identifier: Apache-2.0
"""A change, and the queue of changes of one watch.

In: every durable change of the watched resource, offered by the store. Out: the selected changes, to one reader. A
watch that falls too far behind is closed: its reader gets `Expired` and lists again.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import NamedTuple

from tidegate.model import errors
from tidegate.model.objects import Key, Object

Select = Callable[[Object], bool]

_AT_ONCE = 100
"""Changes of the history that are selected in one turn of the event loop."""


class Change(NamedTuple):
    """A change of one object at one revision. `old` is None for a creation, `new` is None for a deletion."""

    revision: int
    resource: str
    key: Key
    old: Object | None
    new: Object | None


class Watch:
    """An async iterator of changes, until `close`. For one task."""

    def __init__(self, namespace: str, select: Select | None, limit: int) -> None:
        self._namespace = namespace
        self._select = select
        self._limit = limit
        self._past: deque[Change] = deque()  # the selection has not been applied yet
        self._changes: deque[Change] = deque()
        self._ended: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None

    def replay(self, changes: Iterable[Change]) -> None:
        """Add past changes; any number."""
        self._past.extend(changes)

    def offer(self, change: Change, horizon: int) -> None:
        """Add a change that has just become durable. The store has dropped its history up to `horizon`."""
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
        """End the iteration after the queued changes."""
        self._end(StopAsyncIteration())

    async def ready(self) -> None:
        """Wait until there is something to read or the watch has ended."""
        while not self.is_behind and self._ended is None:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter

    @property
    def is_behind(self) -> bool:
        """Whether changes may be queued."""
        return bool(self._past or self._changes)

    def take(self) -> list[Change]:
        """The queued changes. Past changes come in parts, and a part may be empty after selection. Raises `Expired` or
        `StopAsyncIteration` when the queue is empty and the watch has ended."""
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
        """The change as this watch reports it: an object that enters or leaves the selection is created or deleted."""
        if self._namespace and change.key.namespace != self._namespace:
            return None
        if self._select is None:
            return change
        old = change.old if change.old is not None and self._select(change.old) else None
        new = change.new if change.new is not None and self._select(change.new) else None
        if old is None and new is None:
            return None
        return change._replace(old=old, new=new)

    def _end(self, error: Exception) -> None:
        self._ended = self._ended or error
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
