# SPDX-License-Identifier: Apache-2.0
"""PodAutoscaler -> as many Pods of its Revision as it wants.

In: `status.desiredScale` of a PodAutoscaler, the existing Pods, the requests in flight at each. Out: Pods created and
deleted, and Pods put on standby or woken. There is no Deployment in between: a Revision never changes, so nothing has
to be rolled, and `deletion_order` decides which Pods a scale-down deletes.

If the API rejects a Pod (e.g. a quota has no room), an Event and `replica_failures` say why, and the Revision shows it.
The Pod is tried again when a quota of the namespace allows more or has more left, and otherwise after 1 s, doubling to
60 s; no other change of the Revision makes it try.

A Revision with places on standby (`standby`) wakes those Pods before it creates new ones. The node is notified of a
woken Pod at once (`wake`); the Pod's label is removed 10 ms later, because the processor is for the waiting request.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from tidegate.client.context import Context
from tidegate.controllers.serving import standby
from tidegate.controllers.serving.deletion_order import surplus_pods
from tidegate.controllers.serving.pod import desired_pod
from tidegate.controllers.serving.replica_failures import FAILED_CREATE, ReplicaFailures
from tidegate.controllers.serving.revision_pods import instances, revision_of
from tidegate.model import errors, names, pods, quota
from tidegate.model.config import Flag
from tidegate.model.objects import Key, Object, is_controlled_by, is_deleting, key, status, uid
from tidegate.reconcile.expectations import Expectations
from tidegate.reconcile.lookups import live_object, own_key, waking
from tidegate.reconcile.object_queue import object_queue
from tidegate.reconcile.rejections import REJECTIONS, is_namespace_terminating
from tidegate.reconcile.writer import ObjectWriter

LoadOf = Callable[[Key], Mapping[str, int]]
"""The requests in flight at each instance of a Revision, by "ip:port"."""

Wake = Callable[[Key], None]
"""Resumes a Pod that is on standby at once. The Pod's label follows and is what counts."""

_CREATE_BATCH = 50
"""Pods created concurrently, so that they share one commit."""

_LABEL_DELAY = 0.01
"""Seconds between waking a Pod and removing its label."""

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
        self._configs = context.configs
        self._recorder = context.recorder
        self._failures = failures
        self._load_of = load_of
        self._wake = wake
        self.work = object_queue("instances", self.reconcile, context.clock)
        clock, wake_after = context.clock, self.work.wake_after
        self._scales: Expectations[Key, int] = Expectations(clock, SCALE_SECONDS, wake_after)
        self._deleted: Expectations[Key, bool] = Expectations(clock, DELETION_SECONDS, wake_after)
        self._woken: Expectations[Key, bool] = Expectations(clock, pods.WOKEN_LABEL_SECONDS, wake_after)
        self._revisions.subscribe(waking(self.work, own_key))
        self._autoscalers.subscribe(self._on_pod_autoscaler)
        self._pods.subscribe(self._confirm)
        self._pods.subscribe(waking(self.work, revision_of))
        context.informers.resource_quotas.subscribe(self._on_quota)

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
        if new is None or not pods.is_standby(new):
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
        living = self._living(name, revision)
        ended = [pod for pod in living if status(pod).get("phase") in ("Failed", "Succeeded")]
        running = [pod for pod in living if pod not in ended]
        expected = self._woken.all(name)
        woken = [pod for pod in running if uid(pod) in expected]
        on_standby = [pod for pod in running if pods.is_standby(pod) and pod not in woken]
        in_use = [pod for pod in running if pod not in on_standby]
        surplus = surplus_pods(in_use, len(in_use) - wanted, self._load_of(name))
        plan = standby.plan(wanted, len(in_use), surplus, on_standby, standby.places(revision))
        if not plan.create and not plan.create_standby:
            self._failures.clear(name)
        may_create = not self._failures.is_delayed(name)
        self._wake_all(name, plan.wake)
        for pod in (*ended, *plan.delete):
            await self._delete(name, pod)
        await asyncio.gather(
            self._create(revision, plan.create if may_create else 0),
            self._create(revision, plan.create_standby if may_create else 0, on_standby=True),
            *(self._label(pod, None) for pod in woken if pod not in surplus),
            *(self._label(pod, "true") for pod in plan.freeze),
        )
        if not self._failures.is_delayed(name):
            self._failures.clear(name)

    def _forget(self, name: Key) -> None:
        for expectations in (self._scales, self._deleted, self._woken):
            expectations.forget(name)
        self._failures.clear(name)

    def _wanted(self, name: Key, autoscaler: Object) -> int:
        expected = self._scales.get(name)
        return max(int(status(autoscaler).get("desiredScale", -1)), -1 if expected is None else expected)

    def _living(self, name: Key, revision: Object) -> list[Object]:
        deleted = self._deleted.all(name)
        return [pod for pod in instances(revision, self._pods) if uid(pod) not in deleted]

    def _wake_all(self, name: Key, on_standby: Sequence[Object]) -> None:
        for pod in on_standby:
            self._woken.expect(name, True, uid(pod))
            self._wake(key(pod))
            self.work.wake_after(name, _LABEL_DELAY)

    async def _label(self, pod: Object, on_standby: str | None) -> None:
        await self._writer.patch_metadata(self._pods, pod, labels={names.STANDBY: on_standby})

    async def _delete(self, name: Key, pod: Object) -> None:
        self._deleted.expect(name, True, uid(pod))
        try:
            await self._writer.delete(self._pods, pod)
        except errors.ApiError:
            self._deleted.confirm(name, uid(pod))
            raise

    async def _create(self, revision: Object, missing: int, *, on_standby: bool = False) -> None:
        anywhere = self._configs.current.features.multi_container_probing is Flag.ENABLED
        pod = desired_pod(revision, standby=on_standby, liveness_anywhere=anywhere) if missing > 0 else {}
        batch = 1 if self._failures.get(key(revision)) else _CREATE_BATCH  # the next Pod may be rejected too
        while missing > 0:
            creations = (self._writer.create(self._pods, pod) for _ in range(min(missing, batch)))
            created = await asyncio.gather(*creations, return_exceptions=True)
            failed = next((error for error in created if isinstance(error, BaseException)), None)
            if isinstance(failed, errors.ApiError):
                self._recorder.warning(revision, FAILED_CREATE, f"Error creating: {_message(failed, pod)}")
            if isinstance(failed, (errors.Forbidden, *REJECTIONS)) and not is_namespace_terminating(failed):
                delay = self._failures.delay_retry(key(revision), _message(failed, pod))
                self.work.wake_after(key(revision), delay)
                return
            if failed is not None:
                raise failed
            missing, batch = missing - len(created), _CREATE_BATCH


def _message(error: errors.ApiError, pod: Object) -> str:
    """Why the Pod was rejected. Its generated name is cut to the prefix, so that each attempt has the same message."""
    return error.message.replace(f'"{error.details.get("name", "")}"', f'"{pod["metadata"]["generateName"]}"')
