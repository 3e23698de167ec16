# SPDX-License-Identifier: Apache-2.0
"""A cluster in memory: a `Cluster` for tests of reconcilers, without an API server, a socket or a file.

In: the calls of `client.cluster.Cluster`, and `put`, which sets up the state that a test begins with. Out: the answers
that the API server would give: it applies the same rules (`model.registry`) for metadata, resourceVersions, patches,
selectors, the status subresource, finalizers and the grace period of a Pod. Called by: tests of plugins and extensions.

    cluster = MemoryCluster()
    cluster.put(kinds.CONFIG_MAP, {"metadata": {"name": "a", "namespace": "default"}, "data": {"key": "value"}})
    informer = Informer(cluster, kinds.CONFIG_MAP)
    ...
    assert [(write.verb, write.key.name) for write in cluster.writes] == [("create", "a-child")]

Not included, because other parts of Tidegate do it: defaults and validation (pass `admit`, e.g. a wrapper of
`model.admission.Admission.admit`), a check that the namespace exists, quotas, owners of fields, and the deletion of
dependents.
"""

import asyncio
import uuid
from bisect import bisect_right
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal, NamedTuple

from tidegate.client.cluster import Listing, PatchType, WatchEvent
from tidegate.kit.clock import Clock, RealClock
from tidegate.model import errors
from tidegate.model.kinds import Kind
from tidegate.model.objects import Key, Object, key
from tidegate.model.registry import (
    deletion,
    metadata,
    metadata_validation,
    patches,
    rejections,
    selectors,
    shape,
    strategy,
)
from tidegate.model.registry.deletion import DeleteOptions, Propagation
from tidegate.model.registry.selectors import Selection

_Admit = Callable[[Kind, Object, Object | None, str], Object]
"""(kind, new, old, subresource) -> the object to store. Raises an `ApiError` to reject it."""


class Write(NamedTuple):
    """A write that succeeded. `object`: the argument of the call; for a patch the patch, for a deletion empty."""

    verb: Literal["create", "update", "patch", "delete"]
    kind: Kind
    key: Key
    object: Any
    subresource: str = ""


class _Commit(NamedTuple):
    revision: int
    kind: Kind
    old: Object | None
    new: Object | None


class MemoryCluster:
    """Objects in dicts. One instance belongs to one event loop."""

    def __init__(self, *, admit: _Admit | None = None, clock: Clock | None = None) -> None:
        self._admit = admit or _admit_all
        self._clock = clock or RealClock()
        self._objects: dict[Kind, dict[Key, Object]] = {}
        self._revision = 0
        self._commits: list[_Commit] = []
        self._horizon = 0
        self._committed = asyncio.Event()
        self.writes: list[Write] = []
        """All successful writes, oldest first; without those of `put` and `remove`."""

    # For tests

    def put(self, kind: Kind, obj: Object) -> Object:
        """Store an object as it is, with its status and without a check; return it with its resourceVersion."""
        given = {"uid": str(uuid.uuid4()), **obj["metadata"]}
        self._commit(kind, key(obj), {"apiVersion": kind.api_version, "kind": kind.kind, **obj, "metadata": given})
        return self._get(kind, key(obj))

    def remove(self, kind: Kind, key: Key) -> None:
        """Delete an object at once, whatever its finalizers."""
        self._get(kind, key)
        self._commit(kind, key, None)

    def stored(self, kind: Kind) -> Mapping[Key, Object]:
        """The objects of a kind."""
        return self._objects.get(kind, {})

    def compact(self) -> None:
        """Drop the history: watches from earlier resourceVersions get `Expired`."""
        self._horizon = self._revision
        self._commits.clear()

    async def committed(self) -> None:
        """Wait for the next change of an object."""
        await self._committed.wait()

    # Reading

    async def get(self, kind: Kind, key: Key) -> Object:
        return self._get(kind, key)

    async def list(self, kind: Kind, namespace: str = "", *, labels: str = "", fields: str = "") -> Listing:
        selected = selectors.selection(kind, labels, fields)
        objects = sorted(self.stored(kind).items())
        items = [obj for name, obj in objects if namespace in ("", name.namespace) and selected(obj)]
        return Listing(items, str(self._revision))

    @asynccontextmanager
    async def watch(
        self, kind: Kind, namespace: str = "", *, resource_version: str, labels: str = "", fields: str = ""
    ) -> AsyncIterator[AsyncIterator[WatchEvent]]:
        selected = selectors.selection(kind, labels, fields)
        revision = int(resource_version)
        self._require_history(revision)
        yield self._events(kind, namespace, selected, revision)

    async def _events(
        self, kind: Kind, namespace: str, selected: Selection, revision: int
    ) -> AsyncIterator[WatchEvent]:
        while True:
            committed = self._committed
            self._require_history(revision)
            for commit in self._commits[bisect_right(self._commits, revision, key=lambda each: each.revision) :]:
                revision = commit.revision
                if commit.kind == kind and (event := _event(commit, namespace, selected)) is not None:
                    yield event
            if revision == self._revision:
                await committed.wait()

    def _require_history(self, revision: int) -> None:
        if revision < self._horizon:
            raise errors.Expired(f"too old resource version: {revision} ({self._horizon})")

    # Writing

    async def create(self, kind: Kind, obj: Object) -> Object:
        shape.require(kind, obj)
        new = metadata.created(kind, obj, obj["metadata"].get("namespace", ""), self._clock.wall())
        new = self._admit(kind, strategy.initial(kind, new), None, "")
        metadata_validation.check(kind, new)
        if key(new) in self.stored(kind):
            raise rejections.already_exists(kind, key(new).name)
        self.writes.append(Write("create", kind, key(new), obj))
        self._commit(kind, key(new), new)
        return self._get(kind, key(new))

    async def update(self, kind: Kind, obj: Object) -> Object:
        return self._change(Write("update", kind, key(obj), obj), lambda _: obj)

    async def update_status(self, kind: Kind, obj: Object) -> Object:
        return self._change(Write("update", kind, key(obj), obj, "status"), lambda _: obj)

    async def patch(
        self,
        kind: Kind,
        key: Key,
        patch: Object | Sequence[Object],
        *,
        patch_type: PatchType = "application/merge-patch+json",
        subresource: Literal["", "status"] = "",
    ) -> Object:
        return self._change(Write("patch", kind, key, patch, subresource), patches.parsed(kind, patch_type, patch))

    async def delete(
        self,
        kind: Kind,
        key: Key,
        *,
        uid: str = "",
        resource_version: str = "",
        propagation: Propagation = "Background",
        grace_seconds: int | None = None,
    ) -> None:
        old = self._get(kind, key)
        options = DeleteOptions(uid, resource_version, propagation, grace_seconds)
        deletion.require_preconditions(kind, old, options)
        new = deletion.deleted(kind, old, options, self._clock.wall())
        self.writes.append(Write("delete", kind, key, {}))
        if new is not old:
            self._commit(kind, key, new)

    def _change(self, write: Write, patch: Callable[[Object], Any]) -> Object:
        """Store the patched object, if it differs."""
        kind, old = write.kind, self._get(write.kind, write.key)
        new = metadata.updated(kind, patch(old), old)
        new = strategy.merged_status(new, old) if write.subresource else strategy.merged(kind, new, old)
        new = self._admit(kind, new, old, write.subresource)
        metadata_validation.check(kind, new, old)
        self.writes.append(write)
        if new == old:
            return old
        new = metadata.counted(kind, new, old)
        if deletion.is_complete(kind, new):
            self._commit(kind, write.key, None)
            return new
        self._commit(kind, write.key, new)
        return self._get(kind, write.key)

    def _get(self, kind: Kind, key: Key) -> Object:
        found = self.stored(kind).get(key)
        if found is None:
            raise rejections.not_found(kind, key.name)
        return found

    def _commit(self, kind: Kind, key: Key, new: Object | None) -> None:
        """Store the next version of an object (None: delete it) and notify the watches."""
        self._revision += 1
        objects = self._objects.setdefault(kind, {})
        old = objects.pop(key, None)
        if new is not None:
            new = objects[key] = _at(self._revision, new)
        self._commits.append(_Commit(self._revision, kind, old, new))
        self._committed.set()
        self._committed = asyncio.Event()


def _admit_all(kind: Kind, new: Object, old: Object | None, subresource: str) -> Object:
    return new


def _event(commit: _Commit, namespace: str, selected: Selection) -> WatchEvent | None:
    """The commit as a watch reports it: an object that enters or leaves the selection is created or deleted."""
    old, new = (
        obj if obj is not None and namespace in ("", key(obj).namespace) and selected(obj) else None
        for obj in (commit.old, commit.new)
    )
    if new is not None:
        return WatchEvent("ADDED" if old is None else "MODIFIED", new)
    if old is None:
        return None
    return WatchEvent("DELETED", _at(commit.revision, old))


def _at(revision: int, obj: Object) -> Object:
    return {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(revision)}}
