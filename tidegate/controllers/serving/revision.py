# SPDX-License-Identifier: Apache-2.0
"""Revision -> PodAutoscaler, and the state of its instances back to the Revision.

In: a Revision, its PodAutoscaler, its Pods, the digests of its images (`digest_resolution`), and why the API rejects
Pods (`replica_failures`). Out: the PodAutoscaler (`pod_autoscaler`), and the Revision's status (`revision_status`).
Called by: `Controllers`. Rule: knative/serving pkg/reconciler/revision.
"""

from collections.abc import Callable, Sequence

from tidegate.client.context import Context
from tidegate.client.informer import Handler
from tidegate.controllers.serving.digest_resolution import DigestResolution, Resolve
from tidegate.controllers.serving.digests import unresolved_images
from tidegate.controllers.serving.pod_autoscaler import aligned_autoscaler, desired_autoscaler, reachability
from tidegate.controllers.serving.replica_failures import ReplicaFailures
from tidegate.controllers.serving.revision_pods import in_use, instances, revision_of
from tidegate.controllers.serving.revision_state import RevisionState, progress_due
from tidegate.controllers.serving.revision_status import CONTAINER_HEALTHY, observed_status, resolving_status
from tidegate.model import pods
from tidegate.model.conditions import is_false, is_true
from tidegate.model.objects import Key, Object, is_controlled_by, key
from tidegate.reconcile.lookups import live_object, own_key, waking
from tidegate.reconcile.object_queue import object_queue
from tidegate.reconcile.rejections import RETRY_REJECTED_SECONDS
from tidegate.reconcile.writer import ChildRejected, ObjectWriter

_COUNT_DELAY = 0.05
"""Seconds after which a change of the instances of a ready Revision is counted in its status."""


class Revisions:
    """Reconciles every Revision."""

    def __init__(self, context: Context, writer: ObjectWriter, failures: ReplicaFailures, resolve: Resolve) -> None:
        self._writer = writer
        self._revisions = context.informers.revisions
        self._autoscalers = context.informers.pod_autoscalers
        self._pods = context.informers.pods
        self._failures = failures
        self._configs = context.configs
        self._recorder = context.recorder
        self._clock = context.clock
        self.work = object_queue("revision", self.reconcile, context.clock)
        self._revisions.subscribe(waking(self.work, own_key))
        self._autoscalers.subscribe(self._waking_by_readiness(own_key))
        self._pods.subscribe(self._waking_by_readiness(revision_of))
        failures.subscribe(self.work.wake)
        self.digests = DigestResolution(context, resolve, self.work.wake)

    def _waking_by_readiness(self, keys: Callable[[Object], Sequence[Key]]) -> Handler:
        """A handler that wakes a Revision when its instances change: at once while it is not ready. Once it is ready,
        the status only counts instances, and its write must not delay an instance that a waiting request needs."""

        def changed(old: Object | None, new: Object | None) -> None:
            for name in {name for obj in (old, new) if obj is not None for name in keys(obj)}:
                revision = self._revisions.get(name)
                if revision is not None and is_true(revision):
                    self.work.wake_after(name, _COUNT_DELAY)
                else:
                    self.work.wake(name)

        return changed

    async def reconcile(self, key: Key) -> None:
        """Create or align one Revision's PodAutoscaler, then report the state of its instances."""
        revision = live_object(self._revisions, key)
        if revision is None:
            self.digests.forget(key)
            return
        if unresolved_images(revision):
            await self._resolve(revision)
            return
        found = instances(revision, self._pods)
        prepared = [pod for pod in found if pods.is_prepared(pod)]
        state = RevisionState(revision, self._autoscalers.get(key), in_use(found), self._failures.get(key), prepared)
        now = self._clock.wall()
        due = progress_due(state, self._configs.current)
        late = due is not None and now >= due
        observed = observed_status(state, now, late=late)
        try:
            await self._ensure_autoscaler(state, {**revision, "status": observed})
        except ChildRejected as rejection:
            failure = pods.Failure(rejection.reason, rejection.message)
            observed = observed_status(state._replace(failure=failure), now, late=late)
            self.work.wake_after(key, RETRY_REJECTED_SECONDS)
        updated = await self._writer.update_status(self._revisions, revision, observed)
        if is_true(updated) and not is_true(revision):
            self._recorder.normal(revision, "RevisionReady", "Revision becomes ready upon all resources being ready")
        if due is not None and now < due:
            self.work.wake_after(key, (due - now).total_seconds())

    async def _resolve(self, revision: Object) -> None:
        """Write the digests into the status before there is a PodAutoscaler: from then on there may be Pods."""
        found = self.digests.of(revision)
        observed = resolving_status(revision, found, self._clock.wall())
        if found.failure and not is_false(revision, CONTAINER_HEALTHY):
            self._recorder.warning(revision, "ContainerMissing", found.failure)
        await self._writer.update_status(self._revisions, revision, observed)
        if found.digests is not None:
            self.digests.forget(key(revision))

    async def _ensure_autoscaler(self, state: RevisionState, observed: Object) -> None:
        """`observed`: the Revision with its new status."""
        reachable = reachability(observed, state.wanted, state.ready, initialized=state.initialized)
        desired, existing = desired_autoscaler(observed, reachable), state.autoscaler
        if existing is None or is_controlled_by(existing, state.revision):
            wanted = desired if existing is None else aligned_autoscaler(existing, desired)
            await self._writer.ensure_child(state.revision, self._autoscalers, existing, wanted)
