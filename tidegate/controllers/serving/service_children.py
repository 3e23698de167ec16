# SPDX-License-Identifier: Apache-2.0
"""Service -> its Configuration and its Route. Pure.

In: a Service. Out: the children as they should be. Called by: `service`. Rule: knative/serving
pkg/reconciler/service/resources.
"""

from tidegate.controllers.serving.metadata import without
from tidegate.model import names
from tidegate.model.objects import Object, annotations, labels, listed, owner_reference, spec


def desired_configuration(service: Object, existing: Object | None = None) -> Object:
    """The Configuration of a Service. Its annotation keeps the Routes that already refer to it."""
    own = without(annotations(service), names.LAST_APPLIED, names.MIRROR, *names.ROLLOUT_DURATIONS)
    routes = set(listed(existing, names.ROUTES) if existing is not None else ())
    metadata = service["metadata"]
    return {
        "apiVersion": service["apiVersion"],
        "kind": "Configuration",
        "metadata": {
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "labels": {
                **labels(service),
                names.SERVICE: metadata["name"],
                names.SERVICE_UID: metadata["uid"],
            },
            "annotations": {**own, names.ROUTES: ",".join(sorted({*routes, metadata["name"]}))},
            "ownerReferences": [owner_reference(service)],
        },
        "spec": {"template": spec(service)["template"]},
    }


def desired_route(service: Object) -> Object:
    """The Route of a Service. A target that names no revision refers to the Service's own Configuration."""
    metadata = service["metadata"]
    own = without(annotations(service), names.LAST_APPLIED)
    return {
        "apiVersion": service["apiVersion"],
        "kind": "Route",
        "metadata": {
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "labels": {**labels(service), names.SERVICE: metadata["name"]},
            **({"annotations": own} if own else {}),
            "ownerReferences": [owner_reference(service)],
        },
        "spec": {
            "traffic": [
                target if target.get("revisionName") else {**target, "configurationName": metadata["name"]}
                for target in spec(service).get("traffic") or ()
            ]
        },
    }
