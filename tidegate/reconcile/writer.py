# SPDX-License-Identifier: Apache-2.0
"""What every reconciler shares: a queue that takes lost races calmly, and writes that write only what differs.

In: keys from informers, objects as they should be. Out: writes through the `Cluster`, whose answers the informers learn
at once, so that a reconciler's next turn builds on them. Who: every file of this folder.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple

import structlog

from tidegate.client.cluster import Cluster
from tidegate.client.events import Recorder
from tidegate.client.informer import Handler, Informer
from tidegate.kit.backoff import Backoff
from tidegate.kit.clock import Clock
from tidegate.model import errors
from tidegate.model.conditions import Conditions, condition
from tidegate.model.objects import Key, Object, annotations, generation, is_deleting, key, labels, spec, status, uid
from tidegate.model.text import durations
from tidegate.reconcile.queue import WorkQueue

_RACES = (errors.Conflict, errors.AlreadyExists, errors.NotFound)
REFUSALS = (errors.Invalid, errors.BadRequest, errors.TooLarge)
"""Answers to an object that will not do as it is: too large to be stored, or against a rule."""

REFUSED_AGAIN = 60.0  # seconds; what is allowed may change with a ConfigMap
_REFUSED_FOR = 1.0, 60.0  # seconds: the first wait and the longest


def queue(name: str, reconcile: Callable[[Key], Awaitable[None]], clock: Clock) -> WorkQueue[Key]:
    """A queue of keys for `reconcile`.

    A write that came too late is no fault: the object changed, came or went after it was read, and the watch is about
    to say so. Such a turn is taken again, after a growing wait in case the watch is slow. In a namespace that is going
    nothing can be made and nothing needs to be. What else is forbidden (a quota has no room) or refused for what it is
    may be allowed later: it is tried now and then. Everything else goes up to the queue, which logs it.
    """
    log = structlog.get_logger(name)
    races = Backoff(first=0.01, limit=5.0)
    refused = Backoff(*_REFUSED_FOR)

    async def turn(key: Key) -> None:
        try:
            await reconcile(key)
        except _RACES as race:
            log.debug("too late, once more", key=str(key), error=race.message)
            work.wake_after(key, races.next(key))
        except (errors.Forbidden, *REFUSALS) as refusal:
            if is_of_going(refusal):
                log.debug("the namespace is going", key=str(key))
                return
            delay = refused.next(key)
            log.info("refused", key=str(key), error=refusal.message, retry_in=delay)
            work.wake_after(key, delay)
        else:
            races.forget(key)
            refused.forget(key)

    work: WorkQueue[Key] = WorkQueue(name, turn, clock=clock)
    return work


def is_of_going(error: errors.ApiError) -> bool:
    """Whether something was refused because its namespace is being deleted."""
    return any(cause.reason == "NamespaceTerminating" for cause in error.causes)


class ChildRefused(Exception):
    """The API does not take a child as it is wanted: `reason` and `message` are for a condition of its parent."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message

    @property
    def verdict(self) -> "Verdict":
        return Verdict("False", self.reason, self.message)


class Writer:
    """Writes in the name of the controllers. `kept` is the informer of the kind that is written."""

    def __init__(self, cluster: Cluster, recorder: Recorder) -> None:
        self._cluster = cluster
        self._recorder = recorder

    async def create(self, kept: Informer, obj: Object) -> Object:
        created = await self._cluster.create(kept.kind, obj)
        kept.learn(created)
        return created

    async def create_child(self, parent: Object, kept: Informer, desired: Object) -> Object:
        """Create what `parent` asks for, and tell of it there."""
        told = f'{kept.kind.kind} "{desired["metadata"]["name"]}"'
        try:
            created = await self.create(kept, desired)
        except errors.AlreadyExists:
            raise  # a race; the queue knows
        except errors.ApiError as error:
            self._recorder.warning(parent, "CreationFailed", f"Failed to create {told}: {error.message}")
            raise
        self._recorder.normal(parent, "Created", f"Created {told}")
        return created

    async def ensure_child(self, parent: Object, kept: Informer, existing: Object | None, desired: Object) -> Object:
        """Create what `parent` asks for, or align what is there. Raises `ChildRefused`."""
        told = f'{kept.kind.kind} "{desired["metadata"]["name"]}"'
        try:
            if existing is None:
                return await self.create_child(parent, kept, desired)
            return await self.align(kept, existing, desired)
        except REFUSALS as refusal:
            if existing is None:  # which has been told
                raise ChildRefused("CreationFailed", f"Failed to create {told}: {refusal.message}") from refusal
            failed = ChildRefused("UpdateFailed", f"Failed to update {told}: {refusal.message}")
            self._recorder.warning(parent, failed.reason, failed.message)
            raise failed from refusal

    async def align(self, kept: Informer, existing: Object, desired: Object) -> Object:
        """Give `existing` the labels, annotations and spec of `desired`; all else stays."""
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
            kept.kind, {**existing, "metadata": {**others, **wanted}, "spec": spec(desired)}
        )
        kept.learn(updated)
        return updated

    async def update_status(self, kept: Informer, obj: Object, observed: Object) -> Object:
        """Write what was observed of this generation of `obj`, unless it says so already."""
        wanted = {**observed, "observedGeneration": generation(obj)}
        if wanted == status(obj):
            return obj
        updated = await self._cluster.update_status(kept.kind, {**obj, "status": wanted})
        kept.learn(updated)
        return updated

    async def patch_metadata(self, kept: Informer, obj: Object, **changes: Mapping[str, str | None]) -> Object:
        """Merge labels and annotations into `obj`; None takes one away."""
        wanted = {field: change for field, change in changes.items() if change}
        if not wanted:
            return obj
        patched = await self._cluster.patch(kept.kind, key(obj), {"metadata": wanted})
        kept.learn(patched)
        return patched

    async def delete(self, kept: Informer, obj: Object) -> None:
        """Delete this very object; one that is gone already is fine."""
        try:
            await self._cluster.delete(kept.kind, key(obj), uid=uid(obj))
        except (errors.NotFound, errors.Conflict):  # gone, or another one of that name by now
            return


class Verdict(NamedTuple):
    """What a condition says, or is to say."""

    status: str
    reason: str = ""
    message: str = ""


def heard(obj: Object, kind: str = "Ready") -> Verdict:
    """What another object says of itself."""
    said = condition(obj, kind)
    return Verdict(said["status"], said.get("reason", ""), said.get("message", ""))


def mark(conditions: Conditions, kind: str, verdict: Verdict) -> None:
    """Set one condition. Found out first and set once, so that its transition time moves only if it really changed."""
    if verdict.status == "True" and verdict.reason:
        conditions.mark_true_with(kind, verdict.reason, verdict.message)
    elif verdict.status == "True":
        conditions.mark_true(kind)
    elif verdict.status == "False":
        conditions.mark_false(kind, verdict.reason, verdict.message)
    else:
        conditions.mark_unknown(kind, verdict.reason, verdict.message)


def is_outdated(obj: Object) -> bool:
    """Whether its controller has not seen its newest spec yet."""
    return bool(status(obj).get("observedGeneration") != generation(obj))


def alive(kept: Informer, name: Key) -> Object | None:
    """The object, unless it is gone or going: a reconciler has nothing to do for one that is."""
    obj = kept.get(name)
    return None if obj is None or is_deleting(obj) else obj


def waking(work: WorkQueue[Key], keys: Callable[[Object], Sequence[Key]]) -> Handler:
    """A handler that wakes whoever is concerned by the old or the new state of an object."""

    def changed(old: Object | None, new: Object | None) -> None:
        for obj in (old, new):
            if obj is not None:
                for name in keys(obj):
                    work.wake(name)

    return changed


def itself(obj: Object) -> Sequence[Key]:
    """For objects whose parent, child or subject has the same name."""
    return (key(obj),)


def seconds(asked: str | None, default: float) -> float:
    """The duration an annotation asks for; where it is none, for anybody may write annotations, the default."""
    try:
        return durations.seconds(asked) if asked else default
    except ValueError:
        return default


def without(mapping: Mapping[str, str], *names: str) -> dict[str, str]:
    return {name: value for name, value in mapping.items() if name not in names}
