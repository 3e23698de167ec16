# SPDX-License-Identifier: Apache-2.0
"""The garbage collector: deletes objects whose owners are deleted, and completes foreground and orphan deletions.

In: every change of the store. Out: deletes and updates through the verbs. A change wakes only the objects that it
concerns:

| change | wakes |
| --- | --- |
| an object is created, or gets other owners | the object, and its former owners |
| an object is marked for Foreground or Orphan deletion | the object and its dependents |
| an object is removed | its dependents, and its owners (they may wait for it) |

The reconcile of an object reads its present state (rule: k8s.io/kubernetes pkg/controller/garbagecollector):

| state of the object | action |
| --- | --- |
| all its owners are deleted | it is deleted |
| some owners are deleted, or wait for it while others remain | the references to them are removed |
| all remaining owners wait for it | it is deleted, in the foreground if it has dependents that block |
| it has the finalizer foregroundDeletion | the finalizer is removed when no dependent blocks any more |
| it has the finalizer orphan | the reference is removed from its dependents, then the finalizer |

Owners of kinds that are not served here count as present.
"""

import asyncio
from collections.abc import Iterator, Sequence

from tidegate.apiserver.registry import changes
from tidegate.apiserver.registry.api import Api
from tidegate.kit.clock import Clock
from tidegate.model import errors, objects
from tidegate.model.kinds import Kind
from tidegate.model.objects import Key, Object, is_deleting, uid
from tidegate.model.registry.deletion import FOREGROUND, ORPHAN, DeleteOptions
from tidegate.model.user import service_account
from tidegate.reconcile.queue import WorkQueue
from tidegate.store.watch import Change

USER = service_account("kube-system", "generic-garbage-collector")
ObjectName = tuple[Kind, Key]


class GarbageCollector:
    """The garbage collector of one API. `run` it once."""

    def __init__(self, api: Api, *, clock: Clock | None = None) -> None:
        self._api = api
        self._kinds = api.scheme.kinds
        self._work: WorkQueue[ObjectName] = WorkQueue("garbage", self.reconcile, clock=clock)

    async def run(self) -> None:
        """Collect until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._work.run(), name="garbage work")
            await changes.follow(self._api.store, self._wake_all, self._on_change)

    def _wake_all(self) -> None:
        for kind in self._kinds:
            for obj in self._api.list(kind).items:
                self._wake_for(kind, None, obj)

    def _on_change(self, change: Change) -> None:
        kind = self._kinds.of_resource(change.resource)
        if kind is not None:
            self._wake_for(kind, change.old, change.new)

    def _wake_for(self, kind: Kind, old: Object | None, new: Object | None) -> None:
        moved = _references(old) != _references(new)
        if old is not None and moved:
            self._wake_owners(old)
        if old is not None and new is None:
            self._wake_dependents(old)
        if new is not None and (moved or _waits(new)):
            self._work.wake((kind, objects.key(new)))
        if new is not None and _waits(new) and not _waits(old):
            self._wake_dependents(new)

    def _wake_dependents(self, owner: Object) -> None:
        for resource, key in self._api.store.dependents(uid(owner)):
            kind = self._kinds.of_resource(resource)
            if kind is not None:
                self._work.wake((kind, key))

    def _wake_owners(self, dependent: Object) -> None:
        for reference in _references(dependent):
            kind = self._kinds.named(reference["apiVersion"], reference["kind"])
            if kind is not None:
                self._work.wake((kind, _owner_key(kind, reference, dependent)))

    async def reconcile(self, name: ObjectName) -> None:
        """Do the action for the present state of one object."""
        kind, key = name
        obj = self._api.store.get(kind.resource, key)
        if obj is None:
            return
        try:
            if is_deleting(obj) and ORPHAN in _finalizers(obj):
                await self._orphan(kind, key, obj)
            elif is_deleting(obj) and FOREGROUND in _finalizers(obj):
                await self._wait_for_dependents(kind, key, obj)
            elif _references(obj) and not is_deleting(obj):
                await self._collect(kind, key, obj)
        except (errors.NotFound, errors.Conflict):
            self._work.wake(name)  # it has changed meanwhile

    async def _collect(self, kind: Kind, key: Key, obj: Object) -> None:
        """Delete the object if no owner keeps it, else remove the references to owners that do not keep it."""
        references = _references(obj)
        states = {reference["uid"]: self._owner_state(reference, obj) for reference in references}
        if "present" in states.values():
            if set(states.values()) != {"present"}:
                await self._keep_owners(
                    kind, key, obj, {owner for owner, state in states.items() if state == "present"}
                )
            return
        blocked = "waiting" in states.values() and any(self._blocking(obj))
        options = DeleteOptions(
            uid=uid(obj), resource_version=_version(obj), propagation="Foreground" if blocked else None
        )
        await self._api.delete(kind, key, options)

    def _owner_state(self, reference: Object, dependent: Object) -> str:
        """ "present", "deleted", or "waiting": marked for deletion, until its dependents are deleted."""
        kind = self._kinds.named(reference["apiVersion"], reference["kind"])
        if kind is None:
            return "present"
        owner = self._api.store.get(kind.resource, _owner_key(kind, reference, dependent))
        if owner is None or uid(owner) != reference["uid"]:
            return "deleted"
        return "waiting" if is_deleting(owner) and FOREGROUND in _finalizers(owner) else "present"

    async def _wait_for_dependents(self, kind: Kind, key: Key, obj: Object) -> None:
        if not any(self._blocking(obj)):
            await self._drop_finalizer(kind, key, obj, FOREGROUND)

    def _blocking(self, owner: Object) -> Iterator[Object]:
        """The dependents that block a foreground deletion of `owner`."""
        for resource, key in self._api.store.dependents(uid(owner)):
            dependent = self._api.store.get(resource, key)
            for reference in _references(dependent):
                if dependent is not None and reference["uid"] == uid(owner) and reference.get("blockOwnerDeletion"):
                    yield dependent

    async def _orphan(self, kind: Kind, key: Key, obj: Object) -> None:
        for resource, dependent_key in self._api.store.dependents(uid(obj)):
            dependent_kind = self._kinds.of_resource(resource)
            dependent = self._api.store.get(resource, dependent_key)
            if dependent_kind is not None and dependent is not None:
                others = {reference["uid"] for reference in _references(dependent)} - {uid(obj)}
                await self._keep_owners(dependent_kind, dependent_key, dependent, others)
        await self._drop_finalizer(kind, key, obj, ORPHAN)

    async def _keep_owners(self, kind: Kind, key: Key, obj: Object, kept: set[str]) -> None:
        references = [reference for reference in _references(obj) if reference["uid"] in kept]
        await self._set_metadata(kind, key, obj, "ownerReferences", references)

    async def _drop_finalizer(self, kind: Kind, key: Key, obj: Object, finalizer: str) -> None:
        kept = [name for name in _finalizers(obj) if name != finalizer]
        await self._set_metadata(kind, key, obj, "finalizers", kept)

    async def _set_metadata(self, kind: Kind, key: Key, obj: Object, field: str, value: Sequence[object]) -> None:
        metadata = {**obj["metadata"], field: value} if value else _without(obj["metadata"], field)
        await self._api.update(kind, key, {**obj, "metadata": metadata}, user=USER)


def _waits(obj: Object | None) -> bool:
    """Whether the object is marked for deletion and one of this collector's finalizers holds it."""
    return obj is not None and is_deleting(obj) and (FOREGROUND in _finalizers(obj) or ORPHAN in _finalizers(obj))


def _references(obj: Object | None) -> list[Object]:
    return (obj["metadata"].get("ownerReferences") or []) if obj is not None else []


def _finalizers(obj: Object) -> list[str]:
    return obj["metadata"].get("finalizers") or []


def _version(obj: Object) -> str:
    return str(obj["metadata"]["resourceVersion"])


def _owner_key(kind: Kind, reference: Object, dependent: Object) -> Key:
    return Key(dependent["metadata"].get("namespace", "") if kind.namespaced else "", reference["name"])


def _without(metadata: Object, field: str) -> Object:
    return {name: value for name, value in metadata.items() if name != field}
