# SPDX-License-Identifier: Apache-2.0
"""The deletion of a Namespace: all objects in it are deleted, and it is removed when it is empty.

In: every change of the store. Out: deletes through the verbs. Rule: k8s.io/kubernetes pkg/controller/namespace.
"""

import asyncio

from tidegate.apiserver.registry import changes
from tidegate.apiserver.registry.api import Api
from tidegate.kit.clock import Clock
from tidegate.model.kinds import NAMESPACE
from tidegate.model.objects import Key, Object, is_deleting
from tidegate.model.registry.deletion import DeleteOptions
from tidegate.model.registry.selectors import Selection
from tidegate.reconcile.queue import WorkQueue
from tidegate.store.watch import Change

_NOT_MARKED = Selection((lambda obj: not is_deleting(obj),))


class Namespaces:
    """Empties and removes namespaces that are marked for deletion. `run` it once."""

    def __init__(self, api: Api, *, clock: Clock | None = None) -> None:
        self._api = api
        self._work: WorkQueue[Key] = WorkQueue("namespaces", self.reconcile, workers=1, clock=clock)

    async def run(self) -> None:
        """Watch namespaces until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._work.run(), name="namespaces work")
            await changes.follow(self._api.store, self._wake_all, self._on_change)

    def _wake_all(self) -> None:
        for namespace in self._api.list(NAMESPACE).items:
            self._wake(namespace["metadata"]["name"])

    def _on_change(self, change: Change) -> None:
        self._wake(change.key.namespace or change.key.name)

    def _wake(self, name: str) -> None:
        """Reconcile a namespace if it is marked for deletion."""
        namespace = self._api.store.get(NAMESPACE.resource, Key("", name))
        if namespace is not None and is_deleting(namespace):
            self._work.wake(Key("", name))

    async def reconcile(self, key: Key) -> None:
        """Delete the objects in the namespace; remove it if it is empty."""
        # A creation that was checked before the namespace was marked is stored before this returns.
        await self._api.store.settled()
        namespaced = [kind for kind in self._api.scheme.kinds if kind.namespaced]
        if not any(self._api.list(kind, key.name, limit=1).items for kind in namespaced):
            await self._api.store.change(NAMESPACE.resource, key, _removed)
            return
        for kind in namespaced:
            await self._api.delete_all(kind, key.name, _NOT_MARKED, DeleteOptions(propagation="Background"))


def _removed(namespace: Object | None) -> Object | None:
    held = namespace is not None and (not is_deleting(namespace) or namespace["metadata"].get("finalizers"))
    return namespace if held else None
