# SPDX-License-Identifier: Apache-2.0
"""A Revision's state -> its status. Pure.

In: a `RevisionState`. Out: the status. Called by: `revision`. Rule: knative/serving
RevisionStatus.PropagateAutoscalerStatus; what a Deployment reports there is read from the Pods here.

| state | ResourcesAvailable | ContainerHealthy |
| --- | --- | --- |
| the images are being resolved to digests | Unknown ResolvingDigests | Unknown ResolvingDigests |
| an image cannot be resolved | Unknown ResolvingDigests | False ContainerMissing, until the images are resolved |
| no information yet | Unknown Deploying | Unknown Deploying |
| the probes of the first instance fail | Unknown Deploying, with the probes' answers | as ResourcesAvailable |
| the API rejects more Pods: a quota has no room | False FailedCreate | |
| the API rejects the PodAutoscaler | False CreationFailed or UpdateFailed | |
| no node accepts the Pod; its image, or that of a prepared Pod, cannot be pulled | False, with the Pod's reason | |
| a container of every instance keeps ending, or cannot start | | False, ExitCode<n> or the reason |
| no instance is ready at the progress deadline | False ProgressDeadlineExceeded, with the probes' answers | |
| an instance is ready | | True |
| the initial scale was reached and no row above applies | True | True |

After that the Revision stays Ready at scale zero, and while ended containers are restarted at once. Active is the
autoscaler's condition and does not affect Ready.
"""

from collections.abc import Callable, Sequence
from datetime import datetime

from tidegate.controllers.serving.digests import Resolution, container_statuses
from tidegate.controllers.serving.revision_state import RevisionState
from tidegate.images.errors import BACK_OFF, ERR_IMAGE_PULL, INSPECT_ERROR, INVALID_NAME, NEVER_PULL
from tidegate.model import pods
from tidegate.model.conditions import Conditions, is_false
from tidegate.model.objects import Object, is_controlled_by, status
from tidegate.reconcile.verdict import Verdict, mark

RESOURCES_AVAILABLE = "ResourcesAvailable"
CONTAINER_HEALTHY = "ContainerHealthy"
ACTIVE = "Active"

_IMAGE_REASONS = frozenset({ERR_IMAGE_PULL, BACK_OFF, NEVER_PULL, INVALID_NAME, INSPECT_ERROR})


def observed_status(state: RevisionState, now: datetime, *, late: bool) -> Object:
    """The Revision's status. `late`: the progress deadline has passed without a ready instance."""
    conditions = Conditions(state.revision, (RESOURCES_AVAILABLE, CONTAINER_HEALTHY), now)
    if state.autoscaler is not None and not is_controlled_by(state.autoscaler, state.revision):
        message = f'There is an existing PodAutoscaler "{state.autoscaler["metadata"]["name"]}" that we do not own.'
        conditions.mark_false(RESOURCES_AVAILABLE, "NotOwned", message)
    else:
        healthy = _healthy(state)
        resources = _resources(state, late=late, failing=healthy.status == "False")
        if healthy.reason == _DEPLOYING.reason and state.initialized and resources.status == "True":
            healthy = _FINE
        mark(conditions, RESOURCES_AVAILABLE, resources)
        mark(conditions, CONTAINER_HEALTHY, healthy)
        mark(conditions, ACTIVE, _active(state))
    return {
        "conditions": conditions.conditions(),
        **container_statuses(state.revision, {}),
        **_replicas(state.autoscaler),
    }


def resolving_status(revision: Object, found: Resolution, now: datetime) -> Object:
    """The status of a Revision until its images are resolved to digests, and once they are."""
    conditions = Conditions(revision, (RESOURCES_AVAILABLE, CONTAINER_HEALTHY), now)
    resources = _RESOLVING if found.digests is None else _DEPLOYING
    healthy = Verdict("False", "ContainerMissing", found.failure) if found.failure else resources
    mark(conditions, RESOURCES_AVAILABLE, resources)
    mark(conditions, CONTAINER_HEALTHY, healthy)
    statuses = container_statuses(revision, found.digests) if found.digests is not None else {}
    return {"conditions": conditions.conditions(), **statuses}


_FINE = Verdict("True")
_RESOLVING = Verdict("Unknown", "ResolvingDigests")
_DEPLOYING = Verdict("Unknown", "Deploying")
_NEVER_SCALED = Verdict("False", "ProgressDeadlineExceeded", "Initial scale was never achieved")


def _deploying(state: RevisionState) -> Verdict:
    """Deploying, with what the first instance that is not ready waits for."""
    return _DEPLOYING._replace(message=_awaited(state))


def _never_scaled(state: RevisionState) -> Verdict:
    awaited = _awaited(state)
    return _NEVER_SCALED._replace(message=f"{_NEVER_SCALED.message}: {awaited}") if awaited else _NEVER_SCALED


def _awaited(state: RevisionState) -> str:
    return next(filter(None, map(pods.awaited, state.living)), "")


def _healthy(state: RevisionState) -> Verdict:
    """The state of the containers; if none reports one, the last state that was reported."""
    if state.ready:
        return _FINE
    failure = next((failed for failed in pods.failures(state.living) if failed.reason not in _IMAGE_REASONS), None)
    if failure is not None:
        return Verdict("False", *failure)
    before = Verdict.of(state.revision, CONTAINER_HEALTHY)
    return _deploying(state) if before.status == "Unknown" else before


def _resources(state: RevisionState, *, late: bool, failing: bool) -> Verdict:
    """Whether anything except their containers keeps instances from starting."""
    stuck = _first(pods.unschedulable, state.living) or _first(_no_image, (*state.living, *state.prepared))
    if stuck is not None and not state.ready:
        return Verdict("False", *stuck)
    if state.failure is not None:
        return Verdict("False", *state.failure)
    if late:
        return _never_scaled(state)
    if state.initialized:
        return _FINE
    given_up = state.autoscaler is not None and is_false(state.autoscaler)
    return _never_scaled(state) if given_up and not failing else _deploying(state)


def _first(question: Callable[[Object], pods.Failure | None], living: Sequence[Object]) -> pods.Failure | None:
    return next((answer for answer in map(question, living) if answer is not None), None)


def _no_image(pod: Object) -> pods.Failure | None:
    failure = pods.failure(pod)
    return failure if failure is not None and failure.reason in _IMAGE_REASONS else None


def _active(state: RevisionState) -> Verdict:
    """Ready of the PodAutoscaler: whether a request has, or will get, an instance."""
    if state.autoscaler is None or not status(state.autoscaler).get("conditions"):
        return _DEPLOYING
    ready = Verdict.of(state.autoscaler)
    return Verdict("True") if ready.status == "True" else ready


def _replicas(autoscaler: Object | None) -> Object:
    scales = status(autoscaler) if autoscaler is not None else {}
    fields = {"actualReplicas": "actualScale", "desiredReplicas": "desiredScale"}
    return {field: scales[scale] for field, scale in fields.items() if scales.get(scale, -1) >= 0}
