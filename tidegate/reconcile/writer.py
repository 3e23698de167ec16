# SPDX-License-Identifier: Apache-2.0
"""Writes of reconcilers: only what differs is written, and the informer learns the answer.

In: objects as they should be. Out: writes through the `Cluster`, Events about children, and answers in the informers,
so that a reconciler's next turn builds on them. Called by: reconcilers.
"""

from collections.abc import Mapping

from tidegate.client.cluster import Cluster
from tidegate.client.events import Recorder
from tidegate.client.informer import Informer
from tidegate.model import errors
from tidegate.model.objects import Object, annotations, generation, key, labels, spec, status, uid
from tidegate.reconcile.rejections import REJECTIONS
from tidegate.reconcile.verdict import Verdict


class ChildRejected(Exception):
    """The API rejects a child. `reason` and `message` are for a condition of its parent."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message

    @property
    def verdict(self) -> Verdict:
        return Verdict("False", self.reason, self.message)


class ObjectWriter:
    """Writes objects. The `informer` of each method is that of the object's kind."""

    def __init__(self, cluster: Cluster, recorder: Recorder) -> None:
        self._cluster = cluster
        self._recorder = recorder

    async def create(self, informer: Informer, obj: Object) -> Object:
        created = await self._cluster.create(informer.kind, obj)
        informer.learn(created)
        return created

    async def create_child(self, parent: Object, informer: Informer, desired: Object) -> Object:
        """Create a child of `parent`, and record that as an Event of the parent."""
        child = f'{informer.kind.kind} "{desired["metadata"]["name"]}"'
        try:
            created = await self.create(informer, desired)
        except errors.AlreadyExists:
            raise  # a lost race, which the queue retries
        except errors.ApiError as error:
            self._recorder.warning(parent, "CreationFailed", f"Failed to create {child}: {error.message}")
            raise
        self._recorder.normal(parent, "Created", f"Created {child}")
        return created

    async def ensure_child(
        self, parent: Object, informer: Informer, existing: Object | None, desired: Object
    ) -> Object:
        """Create a child of `parent`, or align the existing one. Raises `ChildRejected`."""
        child = f'{informer.kind.kind} "{desired["metadata"]["name"]}"'
        try:
            if existing is None:
                return await self.create_child(parent, informer, desired)
            return await self.align(informer, existing, desired)
        except REJECTIONS as rejection:
            if existing is None:  # `create_child` has recorded the Event
                raise ChildRejected("CreationFailed", f"Failed to create {child}: {rejection.message}") from rejection
            failed = ChildRejected("UpdateFailed", f"Failed to update {child}: {rejection.message}")
            self._recorder.warning(parent, failed.reason, failed.message)
            raise failed from rejection

    async def align(self, informer: Informer, existing: Object, desired: Object) -> Object:
        """Give `existing` the labels, annotations and spec of `desired`; the rest of it stays."""
        if (
            dict(labels(existing)) == dict(labels(desired))
            and dict(annotations(existing)) == dict(annotations(desired))
            and spec(existing) == spec(desired)
        ):
            return existing
        wanted = {
            name: desired["metadata"][name] for name in ("labels", "annotations") if desired["metadata"].get(name)
        }
        others = {name: value for name, value in existing["metadata"].items() if name not in ("labels", "annotations")}
        updated = await self._cluster.update(
            informer.kind, {**existing, "metadata": {**others, **wanted}, "spec": spec(desired)}
        )
        informer.learn(updated)
        return updated

    async def update_status(self, informer: Informer, obj: Object, observed: Object) -> Object:
        """Write the status that was observed for this generation of `obj`, if it differs."""
        wanted = {**observed, "observedGeneration": generation(obj)}
        if wanted == status(obj):
            return obj
        updated = await self._cluster.update_status(informer.kind, {**obj, "status": wanted})
        informer.learn(updated)
        return updated

    async def patch_metadata(self, informer: Informer, obj: Object, **changes: Mapping[str, str | None]) -> Object:
        """Merge `labels` and `annotations` into `obj`; the value None removes a name."""
        wanted = {field: change for field, change in changes.items() if change}
        if not wanted:
            return obj
        patched = await self._cluster.patch(informer.kind, key(obj), {"metadata": wanted})
        informer.learn(patched)
        return patched

    async def delete(self, informer: Informer, obj: Object) -> None:
        """Delete this very object. If it is deleted already, even if another object has its name, nothing happens."""
        try:
            await self._cluster.delete(informer.kind, key(obj), uid=uid(obj))
        except (errors.NotFound, errors.Conflict):
            return
