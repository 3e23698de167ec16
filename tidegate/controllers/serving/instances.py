# SPDX-License-Identifier: Apache-2.0
"""PodAutoscaler -> as many Pods of its Revision as it wants.

In: `status.desiredScale` of a PodAutoscaler, the existing Pods, the requests in flight at each. Out: Pods created and
deleted, and Pods put on standby or woken. There is no Deployment in between: a Revision never changes, so nothing has
to be rolled, and `deletion_order` decides which Pods a scale-down deletes.

A Pod that the API rejects (`pod_creation`) is tried again when a quota of the namespace allows more or has more left,
and otherwise after 1 s, doubling to 60 s; no other change of the Revision makes it try.

A Revision with Pods on standby (`standby`) or prepared (`prepared`) wakes those before it creates new ones. The node is
notified of a woken Pod at once (`wake`); the Pod's label is removed 10 ms later (50 ms if its program has to start),
because the processor is for the waiting request. Prepared Pods are created in the background (`preparation`).
"""

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence

from tidegate.client.context import Context
from tidegate.controllers.serving import pod_plan, standby
from tidegate.controllers.serving.pod_creation import PodCreation
from tidegate.controllers.serving.pod_plan import Places, PodPlan
from tidegate.controllers.serving.preparation import Preparation
from tidegate.controllers.serving.replica_failures import ReplicaFailures
from tidegate.controllers.serving.revision_pods import instances, revision_of
from tidegate.model import errors, names, pods, quota
from tidegate.model.objects import Key, Object, is_controlled_by, is_deleting, key, labels, status, uid
from tidegate.reconcile.expectations import Expectations
from tidegate.reconcile.lookups import live_object, own_key, waking
from tidegate.reconcile.object_queue import object_queue
from tidegate.reconcile.writer import ObjectWriter

LoadOf = Callable[[Key], Mapping[str, int]]
"""The requests in flight at each instance of a Revision, by "ip:port"."""

Wake = Callable[[Key], None]
"""Resumes a Pod that is on standby, or starts a prepared one, at once. The Pod's label follows and is what counts."""

_THAW_SECONDS, _START_SECONDS = 0.01, 0.05
"""Seconds between waking a Pod and removing its label: one on standby, and a prepared one."""

SCALE_SECONDS = 5.0
"""Seconds within which the autoscaler has to write a scale that it has announced."""

DELETION_SECONDS = 300.0
"""Seconds within which the watch has to show a deletion, as in Kubernetes (ExpectationsTimeout)."""


def wait_for_label(pod: Key) -> None:
    """Default `wake`: does nothing; the node sees the label removed."""


class Instances:
    """Keeps the number of every Revision's Pods."""

    def __init__(
        self,
        context: Context,
        writer: ObjectWriter,
        failures: ReplicaFailures,
        load_of: LoadOf,
        wake: Wake = wait_for_label,
    ) -> None:
        self._writer = writer
        self._revisions = context.informers.revisions
        self._autoscalers = context.informers.pod_autoscalers
        self._pods = context.informers.pods
        self._failures = failures
        self._load_of = load_of
        self._wake = wake
        self.work = object_queue("instances", self.reconcile, context.clock)
        self._preparation = Preparation(context, self.work)
        self._creation = PodCreation(context, writer, failures, self._preparation, self.work)
        clock, wake_after = context.clock, self.work.wake_after
        self._scales: Expectations[Key, int] = Expectations(clock, SCALE_SECONDS, wake_after)
        self._deleted: Expectations[Key, bool] = Expectations(clock, DELETION_SECONDS, wake_after)
        self._clock = clock
        self._woken: Expectations[Key, float] = Expectations(clock, pods.WOKEN_LABEL_SECONDS, wake_after)
        self._revisions.subscribe(waking(self.work, own_key))
        self._autoscalers.subscribe(self._on_pod_autoscaler)
        self._pods.subscribe(self._confirm)
        self._pods.subscribe(waking(self.work, revision_of))
        context.informers.resource_quotas.subscribe(self._on_quota)

    def adopt(self) -> None:
        """Begin with the Pods of an earlier run, once all informers are synced."""
        self._preparation.adopt(self._pods.list())

    def expect_scale(self, revision: Key, scale: int) -> None:
        """The autoscaler is about to write a scale that grows, because a request waits: create its Pods meanwhile."""
        self._scales.expect(revision, scale)
        self.work.wake(revision)

    def _on_pod_autoscaler(self, old: Object | None, new: Object | None) -> None:
        obj = new or old
        if obj is None:
            return
        name = key(obj)
        expected = self._scales.get(name)
        if new is None or (expected is not None and status(new).get("desiredScale", -1) >= expected):
            self._scales.confirm(name)
        self.work.wake(name)

    def _confirm(self, old: Object | None, new: Object | None) -> None:
        """A Pod says what was expected of it."""
        pod = new or old
        revision = None if pod is None else pods.revision_key(pod)
        if pod is None or revision is None:
            return
        if new is None or is_deleting(new):
            self._deleted.confirm(revision, uid(pod))
        if new is None or pods.is_instance(new):
            self._woken.confirm(revision, uid(pod))

    def _on_quota(self, old: Object | None, new: Object | None) -> None:
        if old is not None and quota.eases(old, new):
            for revision in self._failures.retry_now(key(old).namespace):
                self.work.wake(revision)

    async def reconcile(self, name: Key) -> None:
        """Create, wake, freeze or delete Pods until their number is the wanted one."""
        revision, autoscaler = live_object(self._revisions, name), self._autoscalers.get(name)
        if revision is None:
            self._forget(name)
            return
        wanted = self._wanted(name, autoscaler) if autoscaler is not None else -1
        if autoscaler is None or wanted < 0 or not is_controlled_by(autoscaler, revision):
            return
        places = Places(standby.places(revision), self._preparation.places(revision, autoscaler))
        plan = pod_plan.plan(self._living(name, revision), wanted, self._woken.all(name), self._load_of(name), places)
        if not plan.create and not plan.create_standby:
            self._failures.clear(name)
        self._wake_all(name, plan.wake)
        for pod in (*plan.ended, *plan.delete):
            await self._delete(name, pod)
        await asyncio.gather(
            self._creation.create(revision, plan.create),
            self._creation.create(revision, plan.create_standby, waiting=names.STANDBY),
            *(self._unlabel(name, pod) for pod in plan.unlabel),
            *(self._freeze(pod) for pod in plan.freeze),
        )
        if not self._failures.is_delayed(name):
            self._failures.clear(name)
        await self._prepare(name, revision, plan)

    async def _prepare(self, name: Key, revision: Object, plan: PodPlan) -> None:
        if plan.wake or plan.create:
            self._preparation.use(name)
        if any(map(pods.is_prepared, plan.ended)):
            self._preparation.failed(name)
        if not plan.prepare:
            return
        wait = self._preparation.wait(name, starting=plan.starting)
        if wait <= 0:
            await self._creation.prepare(revision, plan.prepare)
        elif wait < math.inf:
            self.work.wake_after(name, wait)

    def _forget(self, name: Key) -> None:
        for expectations in (self._scales, self._deleted, self._woken):
            expectations.forget(name)
        self._failures.clear(name)
        self._preparation.forget(name)

    def _wanted(self, name: Key, autoscaler: Object) -> int:
        expected = self._scales.get(name)
        return max(int(status(autoscaler).get("desiredScale", -1)), -1 if expected is None else expected)

    def _living(self, name: Key, revision: Object) -> list[Object]:
        deleted = self._deleted.all(name)
        return [pod for pod in instances(revision, self._pods) if uid(pod) not in deleted]

    def _wake_all(self, name: Key, waiting: Sequence[Object]) -> None:
        for pod in waiting:
            seconds = _START_SECONDS if pods.is_prepared(pod) else _THAW_SECONDS
            self._woken.expect(name, self._clock.monotonic() + seconds, uid(pod))
            self._wake(key(pod))
            self.work.wake_after(name, seconds)

    async def _freeze(self, pod: Object) -> None:
        await self._writer.patch_metadata(self._pods, pod, labels={names.STANDBY: "true"})

    async def _unlabel(self, name: Key, pod: Object) -> None:
        """Make a woken Pod an instance, once its time has come."""
        wait = (self._woken.get(name, uid(pod)) or 0.0) - self._clock.monotonic()
        if wait > 0:
            self.work.wake_after(name, wait)
            return
        waiting = {name: None for name in (names.STANDBY, names.PREPARED) if name in labels(pod)}
        await self._writer.patch_metadata(self._pods, pod, labels=waiting)

    async def _delete(self, name: Key, pod: Object) -> None:
        self._deleted.expect(name, True, uid(pod))
        try:
            await self._writer.delete(self._pods, pod)
        except errors.ApiError:
            self._deleted.confirm(name, uid(pod))
            raise
