# SPDX-License-Identifier: Apache-2.0
"""Which Pods of a Revision are kept prepared: their containers are created, so that starting one takes milliseconds.
Pure.

In: the Revision, its prepared Pods, and how many instances are missing that no Pod on standby can become. Out: a
`PreparedPlan`: the Pods to wake and to delete, and how many to create. Called by: `instances`, which does it, after
`standby`.

| instances | then |
| --- | --- |
| some are missing | prepared Pods are woken, created ones first; new Pods are created for the rest |
| any | free places are filled with new Pods, in the background |
| any, and fewer places than prepared Pods | the failed ones are deleted, then the youngest |

A prepared Pod that has failed is not woken, because a new Pod is tried at once. It keeps its place, and the node
retries it.

The annotation `tidegate.dev/prepared` sets the number of places. These Revisions have none: one that no traffic is
routed to; one that has not reached its initial scale yet; one whose instances are processes, because creating a process
costs nothing before its start.
"""

from collections.abc import Sequence
from typing import NamedTuple

from tidegate.controllers.serving.metadata import places_asked
from tidegate.controllers.serving.revision_state import INITIALIZED
from tidegate.model import names, pods
from tidegate.model.conditions import is_true
from tidegate.model.objects import Object

_DEFAULT_PLACES = "1"


class PreparedPlan(NamedTuple):
    """What to do with a Revision's prepared Pods. `create`: how many new instances. `prepare`: how many new Pods that
    are prepared."""

    wake: Sequence[Object]
    delete: Sequence[Object]
    create: int
    prepare: int


def places(revision: Object, autoscaler: Object) -> int:
    """How many prepared Pods a Revision asks for."""
    if pods.runtime_of(revision) != "oci" or not is_true(autoscaler, INITIALIZED):
        return 0
    return places_asked(revision, names.PREPARED, _DEFAULT_PLACES)


def plan(missing: int, prepared: Sequence[Object], places: int) -> PreparedPlan:
    """`missing`: how many instances. `places`: how many prepared Pods the Revision may have."""
    by_use = sorted(prepared, key=_wake_order)
    woken = [pod for pod in by_use if not _has_failed(pod)][: max(0, missing)]
    kept = [pod for pod in by_use if pod not in woken]
    return PreparedPlan(
        wake=woken,
        delete=kept[places:],
        create=max(0, missing) - len(woken),
        prepare=max(0, places - len(kept)),
    )


def _has_failed(pod: Object) -> bool:
    return pods.failure(pod) is not None or pods.unschedulable(pod) is not None


def _wake_order(pod: Object) -> tuple[bool, bool, str]:
    return _has_failed(pod), not pods.is_created(pod), pod["metadata"].get("creationTimestamp", "")
