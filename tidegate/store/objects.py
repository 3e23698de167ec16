# SPDX-License-Identifier: Apache-2.0
"""The newest version of each object, in memory: by resource and key, and by owner.

In: changes, in the order of their revisions. Out: look-ups that do not slow down as objects are added. Called by: the
store.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Collection, Iterator, Sequence

from tidegate.model.objects import Key, Object
from tidegate.store.watch import Change


class ResourceObjects:
    """The objects of one resource. Keys are also kept in a sorted list, so that a namespace is a slice of it."""

    def __init__(self) -> None:
        self.by_key: dict[Key, Object] = {}
        self._sorted: list[Key] = []

    def put(self, key: Key, obj: Object | None) -> None:
        """Set an object, or delete it with None."""
        if obj is None:
            del self.by_key[key]
            del self._sorted[bisect_left(self._sorted, key)]
            return
        if key not in self.by_key:
            insort(self._sorted, key)
        self.by_key[key] = obj

    def keys(self, namespace: str = "", after: Key | None = None) -> Sequence[Key]:
        """The keys of a namespace ("": of all) in order, from the first one beyond `after`."""
        first = bisect_left(self._sorted, (namespace, "")) if namespace else 0
        last = bisect_left(self._sorted, (namespace + "\0", "")) if namespace else len(self._sorted)
        if after is not None:
            first = max(first, bisect_right(self._sorted, after))
        return self._sorted[first:last]


class CurrentObjects:
    """All objects, with an index of owner references."""

    def __init__(self) -> None:
        self._resources: dict[str, ResourceObjects] = {}
        self._dependents: dict[str, dict[tuple[str, Key], None]] = {}

    def get(self, resource: str, key: Key) -> Object | None:
        objects = self._resources.get(resource)
        return objects.by_key.get(key) if objects is not None else None

    def of(self, resource: str) -> ResourceObjects:
        return self._resources.get(resource) or ResourceObjects()

    def resources(self) -> Collection[str]:
        """The resources that have, or have had, objects."""
        return self._resources.keys()

    def dependents(self, uid: str) -> Sequence[tuple[str, Key]]:
        """The objects (resource, key) whose owner references name `uid`."""
        return list(self._dependents.get(uid, ()))

    def apply(self, change: Change) -> None:
        objects = self._resources.get(change.resource)
        if objects is None:
            objects = self._resources[change.resource] = ResourceObjects()
        objects.put(change.key, change.new)
        self._index_owners(change)

    def _index_owners(self, change: Change) -> None:
        before, after = set(_owner_uids(change.old)), set(_owner_uids(change.new))
        name = (change.resource, change.key)
        for uid in before - after:
            self._dependents[uid].pop(name)
            if not self._dependents[uid]:
                del self._dependents[uid]
        for uid in after - before:
            self._dependents.setdefault(uid, {})[name] = None


def _owner_uids(obj: Object | None) -> Iterator[str]:
    if obj is not None:
        for reference in obj["metadata"].get("ownerReferences") or ():
            yield reference["uid"]
