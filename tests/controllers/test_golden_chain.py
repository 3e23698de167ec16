# SPDX-License-Identifier: Apache-2.0
"""Service -> Configuration, Route -> Revision -> PodAutoscaler and Pod, compared with recorded objects of Knative.

Intended differences:

| Knative | here |
| --- | --- |
| Revision -> Deployment -> Pods | Revision -> Pods; a Pod is compared with the Deployment's template |
| PodAutoscaler's scaleTargetRef is the Deployment | it is the Revision |
| queue-proxy container, its volumes, its preStop hooks | none: the gate in Envoy does that work |
| readiness probes move from the container to the queue-proxy | they stay, with the port filled in |
| env PORT | set by the node agent: on one host each instance has a port of its own |
| a preferred anti-affinity to spread over nodes | none: there is one node |
| runtimeClassName from config-deployment | none: the runtime is chosen by annotation |
| a startup probe without a port stays at port 0, which nothing listens on | it gets the serving port |
| image caches | none: the node keeps the images that it has run |
"""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests import golden
from tidegate.controllers.serving import configuration, pod, pod_autoscaler, service_children
from tidegate.model import names
from tidegate.model.objects import Object, labels

_QUEUE_ONLY = ("lifecycle", "readinessProbe")
_NODE_ONLY = ("PORT",)


def cases() -> list[Any]:
    return [pytest.param(path, id=path.stem) for path in golden.files("resources", "chain-*.json")]


def metadata(obj: Object) -> Object:
    """The metadata without empty fields, as it is recorded."""
    return {field: value for field, value in obj["metadata"].items() if value not in ({}, [])}


def stored(obj: Object, kind: str, uid: str, generation: int = 1) -> Object:
    added = {"uid": uid, "generation": generation, "namespace": obj["metadata"].get("namespace", "default")}
    return {"apiVersion": "serving.knative.dev/v1", "kind": kind, **obj, "metadata": {**obj["metadata"], **added}}


@pytest.mark.parametrize("path", cases())
def test_the_children_of_a_service_match_knatives(path: Path) -> None:
    case = golden.load(path)
    expected = case["expected"]
    parent = stored(case["service"], "Service", case["service_uid"])

    made = service_children.desired_configuration(parent)
    route = service_children.desired_route(parent)

    assert (metadata(made), made["spec"]) == (expected["configuration"]["metadata"], expected["configuration"]["spec"])
    assert (metadata(route), route["spec"]) == (expected["route"]["metadata"], expected["route"]["spec"])


@pytest.mark.parametrize("path", cases())
def test_the_revision_of_a_configuration_matches_knatives(path: Path) -> None:
    case = golden.load(path)
    expected = case["expected"]
    parent = stored(
        expected["configuration"], "Configuration", case["configuration_uid"], case["configuration_generation"]
    )

    made = configuration.desired_revision(parent, datetime.fromisoformat(case["now"]))

    assert metadata(made) == expected["revision"]["metadata"]
    assert made["spec"] == expected["revision"]["spec"]


@pytest.mark.parametrize("path", cases())
def test_the_pod_autoscaler_of_a_revision_matches_knatives(path: Path) -> None:
    case = golden.load(path)
    wanted = case["expected"]["pod_autoscaler"]
    parent = stored(case["expected"]["revision"], "Revision", case["revision_uid"])

    reachable = pod_autoscaler.reachability(parent, wanted=1, ready=0, initialized=False)
    made = pod_autoscaler.desired_autoscaler(parent, reachable)

    assert metadata(made) == wanted["metadata"]
    target = {"apiVersion": "serving.knative.dev/v1", "kind": "Revision", "name": parent["metadata"]["name"]}
    assert made["spec"] == {**wanted["spec"], "scaleTargetRef": target}


@pytest.mark.parametrize("path", cases())
def test_the_pod_of_a_revision_matches_that_of_knatives_deployment(path: Path) -> None:
    case = golden.load(path)
    template = case["expected"]["deployment"]["spec"]["template"]
    parent = _resolved(stored(case["expected"]["revision"], "Revision", case["revision_uid"]), template["spec"])

    anywhere = case["config"].get("config-features", {}).get("multi-container-probing") == "enabled"
    made = pod.desired_pod(parent, liveness_anywhere=anywhere)

    assert metadata(made) == {
        **template["metadata"],
        "generateName": f"{parent['metadata']['name']}-",
        "namespace": "default",
        "ownerReferences": case["expected"]["deployment"]["metadata"]["ownerReferences"],
    }
    assert _comparable(made["spec"]) == _comparable(template["spec"])


@pytest.mark.parametrize("path", cases())
def test_the_readiness_probe_matches_that_of_knatives_queue_proxy(path: Path) -> None:
    case = golden.load(path)
    parent = stored(case["expected"]["revision"], "Revision", case["revision_uid"])
    env = {entry["name"]: entry.get("value") for entry in case["expected"]["queue_proxy_container"]["env"]}
    wanted = json.loads(env["SERVING_READINESS_PROBE"])
    given = next(found for found in pod.desired_pod(parent)["spec"]["containers"] if found.get("ports"))

    probe = given.get("readinessProbe")

    if probe is not None and "exec" not in probe and not isinstance(wanted, list):
        assert _probe(probe) == _probe(wanted)


def _probe(probe: Object) -> Object:
    """The probe without the queue-proxy's address and without HTTP's defaults."""
    return {
        name: {field: value for field, value in action.items() if field not in ("host", "scheme", "service")}
        if isinstance(action, dict)
        else action
        for name, action in probe.items()
    }


def _resolved(revision: Object, template: Object) -> Object:
    """The Revision with the digests that a registry has returned to Knative."""
    own = {container["name"] for container in revision["spec"]["containers"]}
    statuses = [
        {"name": container["name"], "imageDigest": container["image"]}
        for container in template["containers"]
        if container["name"] in own
    ]
    return {**revision, "status": {"containerStatuses": statuses}}


def _comparable(spec: Object) -> Object:
    own = {field: value for field, value in spec.items() if field not in ("affinity", "runtimeClassName")}
    volumes = [volume for volume in spec.get("volumes") or () if volume["name"] not in ("pod-info", "server-certs")]
    own.pop("volumes", None)
    return {
        **own,
        **({"volumes": volumes} if volumes else {}),
        "containers": [_comparable_container(container) for container in spec["containers"]],
    }


def _comparable_container(container: Object) -> Object:
    env = [entry for entry in container.get("env") or () if entry["name"] not in _NODE_ONLY]
    own = {field: value for field, value in container.items() if field not in _QUEUE_ONLY and value != {}}
    if "startupProbe" in own:
        port = own["ports"][0]["containerPort"]
        own["startupProbe"] = {
            name: {**action, "port": action["port"] or port} if isinstance(action, dict) else action
            for name, action in own["startupProbe"].items()
        }
    return {**own, "env": env}


def test_a_revision_has_the_label_of_its_configuration() -> None:
    for path in golden.files("resources", "chain-byo-*.json"):
        made = golden.load(path)["expected"]["revision"]
        assert labels(made)[names.CONFIGURATION] == "hello"
