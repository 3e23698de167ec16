# SPDX-License-Identifier: Apache-2.0
"""From an object to the keys that it concerns, and from a key to its object.

In: changes and keys. Out: handlers that wake keys, and objects that a reconciler has to act on. Called by: reconcilers.
"""

from collections.abc import Callable, Sequence

from tidegate.client.informer import Handler, Informer
from tidegate.model.objects import Key, Object, generation, is_deleting, key, status
from tidegate.reconcile.queue import WorkQueue

KeysOf = Callable[[Object], Sequence[Key]]


def waking(work: WorkQueue[Key], keys: KeysOf) -> Handler:
    """A handler that wakes the keys that the old or the new state of an object concerns."""

    def changed(old: Object | None, new: Object | None) -> None:
        for obj in (old, new):
            if obj is not None:
                for name in keys(obj):
                    work.wake(name)

    return changed


def own_key(obj: Object) -> Sequence[Key]:
    """The object's own key, for a parent, child or subject of the same name."""
    return (key(obj),)


def live_object(informer: Informer, name: Key) -> Object | None:
    """The object, unless it is deleted or being deleted: a reconciler has nothing to do for it then."""
    obj = informer.get(name)
    return None if obj is None or is_deleting(obj) else obj


def is_outdated(obj: Object) -> bool:
    """Whether its controller has not seen its newest spec yet."""
    return bool(status(obj).get("observedGeneration") != generation(obj))
