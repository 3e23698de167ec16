# SPDX-License-Identifier: Apache-2.0
"""Deletes old Revisions that no Route refers to, by the rules of config-gc.

In: the Revisions of a Configuration, the time. Out: deletions, oldest first. Called by: `Controllers`. Rule:
knative/serving pkg/reconciler/gc/gc.go.

| a revision is active, and is kept, if |
| --- |
| it is the latest ready one |
| its annotation `no-gc` is true |
| its routing state is not reserve |

`min-non-active-revisions` of the others are always kept. A revision is stale if it was created and was last active
longer ago than the two retain times: it is deleted. Then the oldest are deleted until `max-non-active-revisions` are
left.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from tidegate.client.context import Context
from tidegate.model import names
from tidegate.model.config import GCConfig
from tidegate.model.objects import Key, Object, annotations, is_deleting, key, labels, status
from tidegate.reconcile.lookups import live_object, own_key, waking
from tidegate.reconcile.object_queue import object_queue
from tidegate.reconcile.writer import ObjectWriter


class RevisionCollector:
    """Deletes the old revisions of every Configuration."""

    def __init__(self, context: Context, writer: ObjectWriter) -> None:
        self._writer = writer
        self._configurations = context.informers.configurations
        self._revisions = context.informers.revisions
        self._configs = context.configs
        self._clock = context.clock
        self.work = object_queue("revision collector", self.reconcile, context.clock)
        self._configurations.subscribe(waking(self.work, own_key))
        self._revisions.subscribe(waking(self.work, _configuration_of))

    def wake_all(self) -> None:
        """Look at every Configuration, because the rules have changed."""
        for configuration in self._configurations.list():
            self.work.wake(key(configuration))

    async def reconcile(self, key: Key) -> None:
        """Delete the collectable revisions of one Configuration, and wake again when the next one becomes stale."""
        configuration = live_object(self._configurations, key)
        if configuration is None:
            return
        revisions = [found for found in self._revisions.indexed("configuration", str(key)) if not is_deleting(found)]
        rules, now = self._configs.current.gc, self._clock.wall()
        latest = status(configuration).get("latestReadyRevisionName", "")
        for revision in collectable(revisions, latest, rules, now):
            await self._writer.delete(self._revisions, revision)
        due = next_stale(revisions, latest, rules, now)
        if due is not None:
            self.work.wake_after(key, (due - now).total_seconds())


def _configuration_of(revision: Object) -> Sequence[Key]:
    name = labels(revision).get(names.CONFIGURATION)
    return [Key(revision["metadata"]["namespace"], name)] if name else ()


def collectable(revisions: Sequence[Object], latest_ready: str, rules: GCConfig, now: datetime) -> list[Object]:
    """The revisions to delete now, in the order of deletion."""
    idle = _idle(revisions, latest_ready)
    spare = len(idle) - rules.min_non_active_revisions
    if spare <= 0:
        return []
    stale = [revision for revision in idle if _is_stale(revision, rules, now)][:spare]
    if len(stale) == spare or rules.max_non_active_revisions is None:
        return stale
    rest = [revision for revision in idle if revision not in stale]
    return stale + rest[: max(0, len(rest) - rules.max_non_active_revisions)]


def next_stale(revisions: Sequence[Object], latest_ready: str, rules: GCConfig, now: datetime) -> datetime | None:
    """When the next revision becomes stale and may be deleted; None if time alone makes none stale."""
    idle = _idle(revisions, latest_ready)
    if len(idle) <= rules.min_non_active_revisions:
        return None
    moments = [moment for moment in (_stale_from(revision, rules) for revision in idle) if moment is not None]
    return min((moment for moment in moments if moment > now), default=None)


def _idle(revisions: Sequence[Object], latest_ready: str) -> list[Object]:
    """The revisions that are not active, longest idle first."""
    idle = [revision for revision in revisions if not _is_active(revision, latest_ready)]
    return sorted(idle, key=_last_active)


def _is_active(revision: Object, latest_ready: str) -> bool:
    return (
        revision["metadata"]["name"] == latest_ready
        or annotations(revision).get(names.NO_GC, "").lower() == "true"
        or labels(revision).get(names.ROUTING_STATE) != "reserve"
    )


def _is_stale(revision: Object, rules: GCConfig, now: datetime) -> bool:
    moment = _stale_from(revision, rules)
    return moment is not None and now >= moment


def _stale_from(revision: Object, rules: GCConfig) -> datetime | None:
    """When a revision has been kept long enough; None if both retain times are disabled."""
    since_creation, since_active = rules.retain_since_create_time, rules.retain_since_last_active_time
    moments = []
    if since_creation is not None:
        moments.append(_created(revision) + timedelta(seconds=since_creation))
    if since_active is not None:
        moments.append(_last_active(revision) + timedelta(seconds=since_active))
    return max(moments, default=None)


def _created(revision: Object) -> datetime:
    return datetime.fromisoformat(revision["metadata"]["creationTimestamp"])


def _last_active(revision: Object) -> datetime:
    """When its routing state last changed; if that is not known, when it was created."""
    try:
        return datetime.fromisoformat(annotations(revision).get(names.ROUTING_STATE_MODIFIED, ""))
    except ValueError:  # anybody may write annotations
        return _created(revision)
