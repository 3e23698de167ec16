# SPDX-License-Identifier: Apache-2.0
"""Revision -> its PodAutoscaler. Pure.

In: a Revision and its state. Out: the PodAutoscaler as it should be. Called by: `revision`. Rule: knative/serving
pkg/reconciler/revision/resources/pa.go.
"""

from tidegate.controllers.serving.metadata import revision_child_annotations, revision_child_labels
from tidegate.controllers.serving.revision_status import CONTAINER_HEALTHY, RESOURCES_AVAILABLE
from tidegate.model import names, pods
from tidegate.model.conditions import is_false
from tidegate.model.objects import Object, annotations, labels, owner_reference, spec

_FILLED_IN = (names.AUTOSCALING_CLASS, f"{names.AUTOSCALING}/metric")
"""Annotations that the API fills in."""


def desired_autoscaler(revision: Object, reachable: str) -> Object:
    """The PodAutoscaler of a Revision. It scales the Revision itself: there is no Deployment in between."""
    metadata, concurrency = revision["metadata"], spec(revision).get("containerConcurrency")
    return {
        "apiVersion": "autoscaling.internal.knative.dev/v1alpha1",
        "kind": "PodAutoscaler",
        "metadata": {
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "labels": revision_child_labels(revision),
            "annotations": revision_child_annotations(revision),
            "ownerReferences": [owner_reference(revision)],
        },
        "spec": {
            **({"containerConcurrency": concurrency} if concurrency else {}),
            "protocolType": pods.serving_protocol(spec(revision)),
            **({"reachability": reachable} if reachable else {}),
            "scaleTargetRef": {
                "apiVersion": revision["apiVersion"],
                "kind": revision["kind"],
                "name": metadata["name"],
            },
        },
    }


def aligned_autoscaler(existing: Object, desired: Object) -> Object:
    """`existing` with the spec and the annotations of `desired`. Autoscaling annotations that `desired` does not have
    are removed, unless the API fills them in."""
    kept = {
        name: value
        for name, value in annotations(existing).items()
        if not name.startswith(names.AUTOSCALING) or name in _FILLED_IN
    }
    metadata = {**existing["metadata"], "annotations": {**kept, **annotations(desired)}}
    return {**existing, "metadata": metadata, "spec": desired["spec"]}


def reachability(revision: Object, wanted: int, ready: int, *, initialized: bool) -> str:
    """Whether traffic can reach a Revision; the autoscaler ignores the minimum scale of one that traffic cannot reach.
    `initialized`: the Revision has reached its initial scale before. The first row that applies counts:

    | routing state and instances | reachability |
    | --- | --- |
    | active and initialized: traffic stays routed to it, even if its instances fail | Reachable |
    | a condition is False and none of the wanted instances is ready | Unreachable |
    | active | Reachable |
    | reserve | Unreachable |
    | pending, or none | "" |
    """
    state = labels(revision).get(names.ROUTING_STATE, "")
    failing = is_false(revision, RESOURCES_AVAILABLE) or is_false(revision, CONTAINER_HEALTHY)
    if failing and wanted > 0 and ready == 0 and not (state == "active" and initialized):
        return "Unreachable"
    return {"active": "Reachable", "reserve": "Unreachable"}.get(state, "")
