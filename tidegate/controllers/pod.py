# SPDX-License-Identifier: Apache-2.0
"""Revision -> the Pod of one instance. Pure.

In: a Revision. Out: its Pod, as Knative's Deployment would have it, without the sidecar: probes stay with the container
and are run by the node. PORT is not set here: on one host every instance listens on a port of its own, which the node
agent picks. Rule: knative/serving pkg/reconciler/revision/resources/deploy.go.
"""

from typing import Any

from tidegate.controllers.revision import passed_on_annotations, passed_on_labels
from tidegate.model import names, pods
from tidegate.model.objects import Object, labels, owner_reference, spec

_OF_REVISION = ("containerConcurrency", "timeoutSeconds", "responseStartTimeoutSeconds", "idleTimeoutSeconds")
_ACTIONS_WITH_PORT = ("httpGet", "tcpSocket", "grpc")


def desired_pod(revision: Object) -> Object:
    """A new Pod; the API picks the end of its name."""
    metadata = revision["metadata"]
    serving = pods.serving_container(spec(revision))
    own = {
        name: value for name, value in passed_on_annotations(revision).items() if not name.startswith(names.AUTOSCALING)
    }
    default = {names.DEFAULT_CONTAINER: serving["name"]} if serving.get("name") else {}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": f"{metadata['name']}-",
            "namespace": metadata["namespace"],
            "labels": passed_on_labels(revision),
            "annotations": {**own, **default},
            "ownerReferences": [owner_reference(revision)],
        },
        "spec": _spec(revision),
    }


def _spec(revision: Object) -> Object:
    of_pod = {name: value for name, value in spec(revision).items() if name not in _OF_REVISION}
    timeout = spec(revision).get("timeoutSeconds")
    return {
        **of_pod,
        "containers": [_container(container, revision) for container in of_pod["containers"]],
        **({"terminationGracePeriodSeconds": timeout} if timeout is not None else {}),
    }


def _container(container: Object, revision: Object) -> Object:
    """A container of the user's, which is told who it is."""
    serves = bool(container.get("ports")) or len(spec(revision)["containers"]) == 1
    port = pods.serving_port(spec(revision))
    probes: dict[str, Any] = {
        name: _with_port(container[name], port)
        for name in ("readinessProbe", "livenessProbe", "startupProbe")
        if serves and container.get(name)
    }
    return {
        "terminationMessagePolicy": "FallbackToLogsOnError",
        **container,
        **probes,
        **({"ports": [{"name": "user-port", "containerPort": port}]} if serves else {}),
        "env": [
            *(container.get("env") or ()),
            {"name": "K_REVISION", "value": revision["metadata"]["name"]},
            {"name": "K_CONFIGURATION", "value": labels(revision).get(names.CONFIGURATION, "")},
            {"name": "K_SERVICE", "value": labels(revision).get(names.SERVICE, "")},
        ],
    }


def _with_port(probe: Object, port: int) -> Object:
    """The probe, at the serving port where it names none."""
    return {
        name: {**action, "port": action.get("port") or port} if name in _ACTIONS_WITH_PORT else action
        for name, action in probe.items()
    }
