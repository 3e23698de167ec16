# SPDX-License-Identifier: Apache-2.0
"""The current objects of one resource, by key and in the order of keys."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence

from tidegate.model.objects import Key, Object


class Shelf:
    """A dict whose keys are also kept sorted: a namespace, or what follows a key, is a slice."""

    def __init__(self) -> None:
        self.objects: dict[Key, Object] = {}
        self._order: list[Key] = []

    def put(self, key: Key, obj: Object | None) -> None:
        """Set or, with None, remove."""
        if obj is None:
            del self.objects[key]
            del self._order[bisect_left(self._order, key)]
            return
        if key not in self.objects:
            insort(self._order, key)
        self.objects[key] = obj

    def keys(self, namespace: str = "", after: Key | None = None) -> Sequence[Key]:
        """The keys of a namespace (or of all), in order, from the first one beyond `after`."""
        first = bisect_left(self._order, (namespace, "")) if namespace else 0
        last = bisect_left(self._order, (namespace + "\0", "")) if namespace else len(self._order)
        if after is not None:
            first = max(first, bisect_right(self._order, after))
        return self._order[first:last]
