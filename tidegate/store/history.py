# SPDX-License-Identifier: Apache-2.0
"""The latest changes, for watches and lists that begin in the past.

In: each change and the bytes of its JSON. Out: the changes after a revision, or `Expired`. When a change is dropped, no
reader can request the versions that it replaced: `take_obsolete` returns their rows. Called by: the store.
"""

from collections import deque
from collections.abc import Sequence
from itertools import takewhile

from tidegate.model import errors
from tidegate.model.objects import Key, Object, resource_version
from tidegate.store.watch import Change


class History:
    """At most `limit` changes, and at most `limit_bytes` of JSON."""

    def __init__(self, limit: int, limit_bytes: int) -> None:
        self._limit = limit
        self._limit_bytes = limit_bytes
        self._changes: deque[Change] = deque()
        self._sizes: deque[int] = deque()
        self._bytes = 0
        self._obsolete: list[int] = []
        self.horizon = 0
        """The revision after which the history is complete."""

    def append(self, change: Change, size: int) -> None:
        """Add the newest change; drop the oldest ones beyond the limits."""
        self._changes.append(change)
        self._sizes.append(size)
        self._bytes += size
        while len(self._changes) > self._limit or self._bytes > self._limit_bytes:
            self._drop_oldest()

    def drop_until(self, revision: int) -> None:
        """Drop the changes up to `revision`."""
        while self._changes and self._changes[0].revision <= revision:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        change = self._changes.popleft()
        self._bytes -= self._sizes.popleft()
        self.horizon = change.revision
        if change.old is not None:
            self._obsolete.append(resource_version(change.old))
        if change.new is None:
            self._obsolete.append(change.revision)

    @property
    def obsolete(self) -> int:
        """How many rows `take_obsolete` would return."""
        return len(self._obsolete)

    def take_obsolete(self) -> Sequence[int]:
        """The revisions of the rows that no reader can request any longer; each is returned once."""
        obsolete, self._obsolete = self._obsolete, []
        return obsolete

    def since(self, revision: int) -> Sequence[Change]:
        """The changes after `revision`, oldest first. Raises `Expired` if some of them were dropped."""
        if revision < self.horizon:
            raise errors.Expired(f"too old resource version: {revision} ({self.horizon})")
        changes = list(takewhile(lambda change: change.revision > revision, reversed(self._changes)))
        changes.reverse()
        return changes

    def versions_at(self, resource: str, revision: int) -> dict[Key, Object | None]:
        """The objects of a resource that have changed since `revision`, as they were then; None: it did not exist."""
        return {change.key: change.old for change in reversed(self.since(revision)) if change.resource == resource}
