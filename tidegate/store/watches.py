# SPDX-License-Identifier: Apache-2.0
"""The open watches of a store, by the objects that they watch.

In: each durable change. Out: an offer of it to the watches of that object, of its resource and of all resources; other
watches cost nothing. Called by: the store.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from tidegate.model.objects import Key
from tidegate.store.watch import Change, Watch


class Watches:
    def __init__(self) -> None:
        self._watches: dict[tuple[str, Key | None], set[Watch]] = {}

    @contextmanager
    def opened(self, watch: Watch, resource: str, key: Key | None) -> Iterator[Watch]:
        """Offer changes to `watch` during a `with`. `resource`: "" for all; `key`: None for all objects."""
        watches = self._watches.setdefault((resource, key), set())
        watches.add(watch)
        try:
            yield watch
        finally:
            watches.discard(watch)
            if not watches:
                self._watches.pop((resource, key), None)

    def offer(self, change: Change, horizon: int) -> None:
        for scope in ((change.resource, change.key), (change.resource, None), ("", None)):
            for watch in self._watches.get(scope, ()):
                watch.offer(change, horizon)

    def close(self) -> None:
        """Let every watch end after its queued changes."""
        for watch in [watch for watches in self._watches.values() for watch in watches]:
            watch.close()
