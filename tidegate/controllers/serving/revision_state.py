# SPDX-License-Identifier: Apache-2.0
"""All that a Revision's status depends on, and how long the Revision may wait for an instance. Pure.

In: a Revision, its PodAutoscaler, its Pods, and why there are not more Pods. Out: a `RevisionState`. Called by:
`revision` and `revision_status`.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from tidegate.controllers.serving.metadata import seconds
from tidegate.model import names, pods
from tidegate.model.conditions import condition, is_true
from tidegate.model.config import Configs
from tidegate.model.objects import Object, annotations, status

INITIALIZED = "ScaleTargetInitialized"

_ROUNDING = timedelta(seconds=1)
"""Time stamps are cut to whole seconds: without this, a deadline would pass up to 1 s early."""


class RevisionState(NamedTuple):
    """`living`: the Pods that are in use and not being deleted. `failure`: why the API rejects more of them.
    `prepared`: the Pods that are not in use yet, and are prepared."""

    revision: Object
    autoscaler: Object | None
    living: Sequence[Object]
    failure: pods.Failure | None = None
    prepared: Sequence[Object] = ()

    @property
    def ready(self) -> int:
        return sum(pods.is_ready(pod) for pod in self.living)

    @property
    def wanted(self) -> int:
        return max(0, status(self.autoscaler).get("desiredScale", 0)) if self.autoscaler is not None else 0

    @property
    def initialized(self) -> bool:
        return self.autoscaler is not None and is_true(self.autoscaler, INITIALIZED)


def progress_due(state: RevisionState, configs: Configs) -> datetime | None:
    """When the progress deadline of a Revision without a ready instance passes; None while it waits for no instance."""
    if state.ready or not (state.wanted or state.living):
        return None
    since = [_not_ready_since(pod) for pod in state.living if not is_true(pod, names.PREPARED_STATE)]
    if not since and not state.initialized:
        since = [state.revision["metadata"]["creationTimestamp"]]
    if not since:
        return None
    deadline = seconds(
        annotations(state.revision).get(names.PROGRESS_DEADLINE), default=configs.deployment.progress_deadline
    )
    return datetime.fromisoformat(min(since)) + timedelta(seconds=deadline) + _ROUNDING


def _not_ready_since(pod: Object) -> str:
    """When the Pod was created, was started after it had been prepared, or stopped being ready."""
    changes = (condition(pod, kind).get("lastTransitionTime") for kind in ("Ready", names.PREPARED_STATE))
    return max(str(pod["metadata"]["creationTimestamp"]), *(str(change or "") for change in changes))
