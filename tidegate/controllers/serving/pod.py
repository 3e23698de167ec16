# SPDX-License-Identifier: Apache-2.0
"""Revision -> the Pod of one instance. Pure.

In: a Revision with the digests of its images. Out: the Pod that Knative's Deployment would create, without the sidecar:
the node agent runs the probes, so they stay with the container. PORT is not set here: the node agent knows the port of
an instance, which is one of its own where instances share the network of the host. Called by: `pod_creation`. Rule:
knative/serving pkg/reconciler/revision/resources/deploy.go.
"""

from typing import Any

from tidegate.controllers.serving import digests
from tidegate.controllers.serving.metadata import revision_child_annotations, revision_child_labels, without
from tidegate.model import names, pods
from tidegate.model.objects import Object, labels, owner_reference, spec

_REVISION_FIELDS = ("containerConcurrency", "timeoutSeconds", "responseStartTimeoutSeconds", "idleTimeoutSeconds")
_ACTIONS_WITH_PORT = ("httpGet", "tcpSocket", "grpc")


_WAITING_LABELS = (names.STANDBY, names.PREPARED)
"""Of a Pod that is no instance yet. As annotations of a Revision they say how many of them it keeps."""


def desired_pod(revision: Object, *, waiting: str = "", liveness_anywhere: bool = False) -> Object:
    """A new Pod; the API completes its name. `waiting`: the label of a Pod that is no instance until it is woken: the
    node freezes it once it is ready, or only prepares it. `liveness_anywhere`: a liveness probe may use another port
    than the serving one (feature multi-container-probing)."""
    metadata = revision["metadata"]
    serving = pods.serving_container(spec(revision))
    own = {
        name: value
        for name, value in revision_child_annotations(revision).items()
        if not name.startswith(names.AUTOSCALING) and name not in _WAITING_LABELS
    }
    default = {names.DEFAULT_CONTAINER: serving["name"]} if serving.get("name") else {}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": f"{metadata['name']}-",
            "namespace": metadata["namespace"],
            "labels": {
                **without(revision_child_labels(revision), *_WAITING_LABELS),
                **({waiting: "true"} if waiting else {}),
            },
            "annotations": {**own, **default},
            "ownerReferences": [owner_reference(revision)],
        },
        "spec": _spec(revision, liveness_anywhere),
    }


def _spec(revision: Object, liveness_anywhere: bool) -> Object:
    fields = {name: value for name, value in spec(revision).items() if name not in _REVISION_FIELDS}
    timeout = spec(revision).get("timeoutSeconds")
    containers = digests.with_digests(revision)
    return {
        **fields,
        **containers,
        "containers": [_container(container, revision, liveness_anywhere) for container in containers["containers"]],
        **({"terminationGracePeriodSeconds": timeout} if timeout is not None else {}),
    }


def _container(container: Object, revision: Object, liveness_anywhere: bool) -> Object:
    """A container of the user, with the names of its Revision, Configuration and Service in its environment."""
    serves = bool(container.get("ports")) or len(spec(revision)["containers"]) == 1
    port = pods.serving_port(spec(revision))
    return {
        "terminationMessagePolicy": "FallbackToLogsOnError",
        **container,
        **(_serving_fields(container, port, liveness_anywhere) if serves else {}),
        "env": [
            *(container.get("env") or ()),
            {"name": "K_REVISION", "value": revision["metadata"]["name"]},
            {"name": "K_CONFIGURATION", "value": labels(revision).get(names.CONFIGURATION, "")},
            {"name": "K_SERVICE", "value": labels(revision).get(names.SERVICE, "")},
        ],
    }


def _serving_fields(container: Object, port: int, liveness_anywhere: bool) -> Object:
    """Fields of the serving container: its port, and its probes at that port."""
    probes = {
        name: _with_port(container[name], port, forced=name == "livenessProbe" and not liveness_anywhere)
        for name in ("readinessProbe", "livenessProbe", "startupProbe")
        if container.get(name)
    }
    return {"ports": [{"name": "user-port", "containerPort": port}], **probes}


def _with_port(probe: Object, port: int, *, forced: bool) -> Object:
    """The probe, at the serving port if it has no port number of its own, or may not have one (`forced`)."""
    return {
        name: {**action, "port": port} if _takes_port(name, action, forced) else action
        for name, action in probe.items()
    }


def _takes_port(name: str, action: Any, forced: bool) -> bool:
    if name not in _ACTIONS_WITH_PORT:
        return False
    port = str(action.get("port", ""))
    return forced or not (port.isdecimal() and int(port))
