# SPDX-License-Identifier: Apache-2.0
"""Revision -> PodAutoscaler, and what becomes of its instances back to the Revision.

In: a Revision, its PodAutoscaler, its Pods. Out: the PodAutoscaler's spec, and the Revision's status. Rule:
knative/serving pkg/reconciler/revision and RevisionStatus.PropagateAutoscalerStatus; what a Deployment says there is
read from the Pods themselves here.

| what is seen | ResourcesAvailable | ContainerHealthy |
| --- | --- | --- |
| nothing yet | Unknown Deploying | Unknown Deploying |
| the probes of the first instance fail | Unknown Deploying, with what they saw | Unknown Deploying, likewise |
| the API takes no more Pods of it: a quota has no room | False FailedCreate | |
| the API does not take its PodAutoscaler | False CreationFailed or UpdateFailed | |
| no node takes the Pod; its image cannot be had | False, the Pod's reason | |
| a container of every instance keeps ending, or cannot be started | | False, ExitCode<n> or the reason |
| no instance is ready within the progress deadline | False ProgressDeadlineExceeded, with what its probes saw | |
| an instance is ready | | True |
| the initial scale was reached and nothing above is wrong | True | True |

Once reached, it stays Ready at scale zero, and while containers that ended are started again at once. Active is the
autoscaler's word and does not touch Ready.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from tidegate.client.events import Recorder
from tidegate.client.informer import Handler, Informer
from tidegate.controllers.serving.refused import Refused
from tidegate.controllers.serving.traffic import protocol
from tidegate.kit.clock import Clock
from tidegate.model import names, pods
from tidegate.model.conditions import Conditions, condition, is_false, is_true
from tidegate.model.config import Configs
from tidegate.model.objects import (
    Key,
    Object,
    annotations,
    is_controlled_by,
    labels,
    owner_reference,
    spec,
    status,
    uid,
)
from tidegate.reconcile.writer import (
    REFUSED_AGAIN,
    ChildRefused,
    Verdict,
    Writer,
    alive,
    heard,
    itself,
    mark,
    queue,
    seconds,
    waking,
    without,
)

RESOURCES_AVAILABLE = "ResourcesAvailable"
CONTAINER_HEALTHY = "ContainerHealthy"
ACTIVE = "Active"
INITIALIZED = "ScaleTargetInitialized"

_OF_IMAGE = frozenset({"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName"})
_NOT_PASSED_ON = (names.LAST_PINNED, names.NO_GC, names.ROUTING_STATE_MODIFIED, names.ROUTES)
_AUTOSCALING_DEFAULTS = (names.AUTOSCALING_CLASS, f"{names.AUTOSCALING}/metric")
_A_SECOND = timedelta(seconds=1)


_COUNTED_WITHIN = 0.05  # seconds


class Revisions:
    """Reconciles every Revision."""

    def __init__(
        self,
        *,
        writer: Writer,
        revisions: Informer,
        pod_autoscalers: Informer,
        pods: Informer,
        refused: Refused,
        configs: Callable[[], Configs],
        recorder: Recorder,
        clock: Clock,
    ) -> None:
        self._writer = writer
        self._revisions = revisions
        self._autoscalers = pod_autoscalers
        self._pods = pods
        self._refused = refused
        self._configs = configs
        self._recorder = recorder
        self._clock = clock
        self.work = queue("revision", self.reconcile, clock)
        revisions.subscribe(waking(self.work, itself))
        pod_autoscalers.subscribe(self._following(itself))
        pods.subscribe(self._following(revision_of))
        refused.subscribe(self.work.wake)

    def _following(self, keys: Callable[[Object], Sequence[Key]]) -> Handler:
        """A handler that wakes a Revision for what became of its instances: at once while it is not ready. Later on it
        only counts them, and must not write among what a waiting request waits for."""

        def changed(old: Object | None, new: Object | None) -> None:
            for name in {name for obj in (old, new) if obj is not None for name in keys(obj)}:
                revision = self._revisions.get(name)
                if revision is not None and is_true(revision):
                    self.work.wake_after(name, _COUNTED_WITHIN)
                else:
                    self.work.wake(name)

        return changed

    async def reconcile(self, key: Key) -> None:
        """Keep one Revision's PodAutoscaler in line, and tell how its instances fare."""
        revision = alive(self._revisions, key)
        if revision is None:
            return
        living = in_use(instances(revision, self._pods))
        seen = Seen(revision, self._autoscalers.get(key), living, self._refused.get(key))
        now = self._clock.wall()
        due = progress_due(seen, self._configs())
        late = due is not None and now >= due
        observed = observed_status(seen, now, late=late)
        try:
            await self._ensure_autoscaler(seen, {**revision, "status": observed})
        except ChildRefused as refusal:
            why = pods.Failure(refusal.reason, refusal.message)
            observed = observed_status(seen._replace(refused=why), now, late=late)
            self.work.wake_after(key, REFUSED_AGAIN)
        updated = await self._writer.update_status(self._revisions, revision, observed)
        if is_true(updated) and not is_true(revision):
            self._recorder.normal(revision, "RevisionReady", "Revision becomes ready upon all resources being ready")
        if due is not None and now < due:
            self.work.wake_after(key, (due - now).total_seconds())

    async def _ensure_autoscaler(self, seen: "Seen", observed: Object) -> None:
        desired = desired_autoscaler(
            observed, reachability(observed, seen.wanted, seen.ready, initialized=seen.initialized)
        )
        existing = seen.autoscaler
        if existing is None or is_controlled_by(existing, seen.revision):
            wanted = desired if existing is None else aligned_autoscaler(existing, desired)
            await self._writer.ensure_child(seen.revision, self._autoscalers, existing, wanted)


class Seen(NamedTuple):
    """What there is of one Revision. `living`: its Pods that are in use and not on their way out; `refused`: why there
    are not more of them."""

    revision: Object
    autoscaler: Object | None
    living: Sequence[Object]
    refused: pods.Failure | None = None

    @property
    def ready(self) -> int:
        return sum(pods.is_ready(pod) for pod in self.living)

    @property
    def wanted(self) -> int:
        return max(0, status(self.autoscaler).get("desiredScale", 0)) if self.autoscaler is not None else 0

    @property
    def initialized(self) -> bool:
        return self.autoscaler is not None and is_true(self.autoscaler, INITIALIZED)


def revision_of(pod: Object) -> Sequence[Key]:
    name = pods.revision_key(pod)
    return () if name is None else (name,)


def instances(revision: Object, kept: Informer) -> list[Object]:
    """The Pods of this very Revision that are not on their way out."""
    name = f"{revision['metadata']['namespace']}/{revision['metadata']['name']}"
    found = kept.indexed("revision", name)
    return [pod for pod in found if is_controlled_by(pod, revision) and not pods.is_draining(pod)]


def in_use(living: Sequence[Object]) -> list[Object]:
    """Without those that stand by, of which nothing is expected, also where one is only about to be woken."""
    return [pod for pod in living if not pods.is_standby(pod) and not pods.is_frozen(pod)]


def passed_on_labels(revision: Object) -> dict[str, str]:
    """The labels that a Revision's PodAutoscaler and Pods carry."""
    own = without(labels(revision), names.ROUTE, names.ROUTING_STATE)
    name = revision["metadata"]["name"]
    return {names.APP: name, **own, names.REVISION: name, names.REVISION_UID: uid(revision)}


def passed_on_annotations(revision: Object) -> dict[str, str]:
    return without(annotations(revision), *_NOT_PASSED_ON)


def desired_autoscaler(revision: Object, reachable: str) -> Object:
    """The PodAutoscaler of a Revision. Its target is the Revision itself: nothing stands between it and its Pods."""
    metadata, concurrency = revision["metadata"], spec(revision).get("containerConcurrency")
    return {
        "apiVersion": "autoscaling.internal.knative.dev/v1alpha1",
        "kind": "PodAutoscaler",
        "metadata": {
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "labels": passed_on_labels(revision),
            "annotations": passed_on_annotations(revision),
            "ownerReferences": [owner_reference(revision)],
        },
        "spec": {
            **({"containerConcurrency": concurrency} if concurrency else {}),
            "protocolType": protocol(revision),
            **({"reachability": reachable} if reachable else {}),
            "scaleTargetRef": {
                "apiVersion": revision["apiVersion"],
                "kind": revision["kind"],
                "name": metadata["name"],
            },
        },
    }


def aligned_autoscaler(existing: Object, desired: Object) -> Object:
    """What an update may change: the spec, and the annotations that came from the Revision. Autoscaling annotations
    that the Revision does not have go, except for those that the API fills in."""
    kept = {
        name: value
        for name, value in annotations(existing).items()
        if not name.startswith(names.AUTOSCALING) or name in _AUTOSCALING_DEFAULTS
    }
    metadata = {**existing["metadata"], "annotations": {**kept, **annotations(desired)}}
    return {**existing, "metadata": metadata, "spec": desired["spec"]}


def reachability(revision: Object, wanted: int, ready: int, *, initialized: bool) -> str:
    """Whether traffic can come to a Revision: the autoscaler lets go of one that it cannot come to. `initialized`: it
    has had its initial scale.

    | state | reachability |
    | --- | --- |
    | active, and it was initialized: its traffic stays its own, whatever befalls its instances | Reachable |
    | something is wrong with it and none of the wanted instances is ready | Unreachable |
    | active | Reachable |
    | reserve | Unreachable |
    | pending, or none | not said |
    """
    state = labels(revision).get(names.ROUTING_STATE, "")
    failing = is_false(revision, RESOURCES_AVAILABLE) or is_false(revision, CONTAINER_HEALTHY)
    if failing and wanted > 0 and ready == 0 and not (state == "active" and initialized):
        return "Unreachable"
    return {"active": "Reachable", "reserve": "Unreachable"}.get(state, "")


def progress_due(seen: Seen, configs: Configs) -> datetime | None:
    """When a Revision without a ready instance has had its time; None while it does not wait for one."""
    if seen.ready or not (seen.wanted or seen.living):
        return None
    since = [_not_ready_since(pod) for pod in seen.living]
    if not since and not seen.initialized:
        since = [seen.revision["metadata"]["creationTimestamp"]]
    if not since:
        return None
    deadline = seconds(
        annotations(seen.revision).get(names.PROGRESS_DEADLINE), default=configs.deployment.progress_deadline
    )
    # Time stamps are whole seconds, cut off: one more, so that nobody is late before his time.
    return datetime.fromisoformat(min(since)) + timedelta(seconds=deadline) + _A_SECOND


def _not_ready_since(pod: Object) -> str:
    """When it was made, or when it ceased to be ready."""
    made = str(pod["metadata"]["creationTimestamp"])
    return max(made, str(condition(pod, "Ready").get("lastTransitionTime") or made))


def observed_status(seen: Seen, now: datetime, *, late: bool) -> Object:
    """The Revision's status. `late`: its progress deadline has passed without a ready instance."""
    conditions = Conditions(seen.revision, (RESOURCES_AVAILABLE, CONTAINER_HEALTHY), now)
    if seen.autoscaler is not None and not is_controlled_by(seen.autoscaler, seen.revision):
        message = f'There is an existing PodAutoscaler "{seen.autoscaler["metadata"]["name"]}" that we do not own.'
        conditions.mark_false(RESOURCES_AVAILABLE, "NotOwned", message)
    else:
        healthy = _healthy(seen)
        resources = _resources(seen, late=late, failing=healthy.status == "False")
        if healthy.reason == _DEPLOYING.reason and seen.initialized and resources.status == "True":
            healthy = _FINE
        mark(conditions, RESOURCES_AVAILABLE, resources)
        mark(conditions, CONTAINER_HEALTHY, healthy)
        mark(conditions, ACTIVE, _active(seen))
    return {"conditions": conditions.conditions(), **_container_statuses(seen.revision), **_replicas(seen.autoscaler)}


_FINE = Verdict("True")
_DEPLOYING = Verdict("Unknown", "Deploying")
_NEVER_SCALED = Verdict("False", "ProgressDeadlineExceeded", "Initial scale was never achieved")


def _deploying(seen: Seen) -> Verdict:
    """What the first instance is not ready for."""
    return _DEPLOYING._replace(message=_awaited(seen))


def _never_scaled(seen: Seen) -> Verdict:
    awaited = _awaited(seen)
    return _NEVER_SCALED._replace(message=f"{_NEVER_SCALED.message}: {awaited}") if awaited else _NEVER_SCALED


def _awaited(seen: Seen) -> str:
    return next(filter(None, map(pods.awaited, seen.living)), "")


def _healthy(seen: Seen) -> Verdict:
    """What the containers say; while none says anything, what they said last."""
    if seen.ready:
        return _FINE
    failure = next((failed for failed in pods.failures(seen.living) if failed.reason not in _OF_IMAGE), None)
    if failure is not None:
        return Verdict("False", *failure)
    before = heard(seen.revision, CONTAINER_HEALTHY)
    return _deploying(seen) if before.status == "Unknown" else before


def _resources(seen: Seen, *, late: bool, failing: bool) -> Verdict:
    """What keeps instances from coming up, apart from their containers."""
    stuck = None if seen.ready else _first(pods.unschedulable, seen.living) or _first(_no_image, seen.living)
    if stuck is not None:
        return Verdict("False", *stuck)
    if seen.refused is not None:
        return Verdict("False", *seen.refused)
    if late:
        return _never_scaled(seen)
    if seen.initialized:
        return _FINE
    given_up = seen.autoscaler is not None and is_false(seen.autoscaler)
    return _never_scaled(seen) if given_up and not failing else _deploying(seen)


def _first(question: Callable[[Object], pods.Failure | None], living: Sequence[Object]) -> pods.Failure | None:
    return next((answer for answer in map(question, living) if answer is not None), None)


def _no_image(pod: Object) -> pods.Failure | None:
    failure = pods.failure(pod)
    return failure if failure is not None and failure.reason in _OF_IMAGE else None


def _active(seen: Seen) -> Verdict:
    """The autoscaler's Ready: whether there is, or will be, an instance for a request."""
    if seen.autoscaler is None or not status(seen.autoscaler).get("conditions"):
        return _DEPLOYING
    said = heard(seen.autoscaler)
    return Verdict("True") if said.status == "True" else said


def _container_statuses(revision: Object) -> Object:
    """The images as they will run. A tag is not resolved here: the node that runs a container looks its image up."""
    fields = {"containerStatuses": "containers", "initContainerStatuses": "initContainers"}
    return {
        field: [
            {
                "name": container.get("name", ""),
                **({"imageDigest": container["image"]} if "@sha256:" in container.get("image", "") else {}),
            }
            for container in spec(revision)[containers]
        ]
        for field, containers in fields.items()
        if spec(revision).get(containers)
    }


def _replicas(autoscaler: Object | None) -> Object:
    scales = status(autoscaler) if autoscaler is not None else {}
    fields = {"actualReplicas": "actualScale", "desiredReplicas": "desiredScale"}
    return {field: scales[scale] for field, scale in fields.items() if scales.get(scale, -1) >= 0}
