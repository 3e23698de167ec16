# SPDX-License-Identifier: Apache-2.0
"""The places for prepared Pods on this machine: how many each Revision gets. Pure.

In: the limit of the machine, and the places that each Revision asks for. Out: the places that it gets; a Revision whose
places change without its own asking is woken. Called by: `preparation`.

The Revisions that started an instance last get their places. A Revision that started none since Tidegate started gets
places only while there are free ones. Each call costs the same with one Revision as with thousands.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence

from tidegate.model.objects import Key


class PreparedPlaces:
    """The places of all Revisions. `wake`: called with a Revision that has to ask again."""

    def __init__(self, most: int, wake: Callable[[Key], None]) -> None:
        self._most = most
        self._wake = wake
        self._granted: OrderedDict[Key, int] = OrderedDict()  # in the order of their last use
        self._refused: OrderedDict[Key, int] = OrderedDict()  # in the same order
        self._taken = 0

    def limit(self, most: int) -> None:
        """Set the most places of the machine."""
        self._most = most
        self._take_back()
        self._grant_free()

    def ask(self, revision: Key, places: int, *, in_use: bool = False) -> int:
        """The places that a Revision gets, at most `places`. `in_use`: it has instances, so that it counts as used when
        it asks for the first time."""
        if places <= 0:
            self.forget(revision)
            return 0
        before, after = self._granted.get(revision, 0), min(places, self._most)
        if before and self._taken - before + after <= self._most:
            self._granted[revision] = after
            self._taken += after - before
        elif not before:
            self._ask_first(revision, places, in_use=in_use)
        return self._granted.get(revision, 0)

    def use(self, revision: Key) -> None:
        """The Revision starts an instance."""
        if revision in self._granted:
            self._granted.move_to_end(revision)
        elif revision in self._refused and self._most:
            self._grant(revision, self._refused.pop(revision))
            self._take_back()

    def forget(self, revision: Key) -> None:
        """The Revision asks for no places any more."""
        self._refused.pop(revision, None)
        self._taken -= self._granted.pop(revision, 0)
        self._grant_free()

    def holders(self, namespace: str) -> Sequence[Key]:
        """The Revisions of a namespace that have places."""
        return [revision for revision in self._granted if revision.namespace == namespace]

    def _ask_first(self, revision: Key, places: int, *, in_use: bool) -> None:
        is_new = revision not in self._refused
        self._refused[revision] = places
        if is_new and in_use:
            self.use(revision)
        elif is_new and self._fits(places):
            self._grant_unused(revision)
        elif is_new:
            self._refused.move_to_end(revision, last=False)

    def _fits(self, places: int) -> bool:
        return self._most > 0 and self._taken + min(places, self._most) <= self._most

    def _grant_unused(self, revision: Key) -> None:
        self._grant(revision, self._refused.pop(revision))
        self._granted.move_to_end(revision, last=False)

    def _grant(self, revision: Key, places: int) -> None:
        self._granted[revision] = places = min(places, self._most)
        self._taken += places

    def _take_back(self) -> None:
        """Take places from the Revisions that have been unused for the longest time, while there are too many."""
        while self._taken > self._most:
            revision, places = self._granted.popitem(last=False)
            self._taken -= places
            self._refused[revision] = places
            self._wake(revision)

    def _grant_free(self) -> None:
        """Give free places to the Revisions that were used last."""
        while self._refused:
            revision, places = next(reversed(self._refused.items()))
            if not self._fits(places):
                return
            self._grant_unused(revision)
            self._wake(revision)
