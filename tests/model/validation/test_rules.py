# SPDX-License-Identifier: Apache-2.0
"""Knative's rules one by one, on a Service with one error. test_golden_validation compares the same rules with recorded
results of Knative; the rows here need no recordings."""

import copy
from typing import Any

import pytest

from harness import make
from tidegate.model import errors, kinds, names
from tidegate.model.admission import Admission, AdmissionRequest
from tidegate.model.config import Configs
from tidegate.model.groups import BUILT_IN_SCHEME
from tidegate.model.objects import Object

GOOD: Object = {
    "metadata": {"name": "hello", "namespace": "default"},
    "spec": {"template": {"spec": {"containers": [{"image": "docker.io/library/hello:1"}]}}},
}
TEMPLATE = "spec.template"
POD = f"{TEMPLATE}.spec"
CONTAINER = f"{POD}.containers[0]"
RESOURCES = f"{CONTAINER}.resources"
ANNOTATIONS = f"{TEMPLATE}.metadata.annotations"
SCALING = f"{ANNOTATIONS}.autoscaling.knative.dev"
ON = {"config-features": {"multi-container": "Enabled", "kubernetes.podspec-init-containers": "enabled"}}


def problems(obj: Object, config: dict[str, dict[str, str]] | None = None) -> set[tuple[str, str]]:
    """The errors, as (message, field)."""
    try:
        Admission(BUILT_IN_SCHEME, lambda: Configs.parse(config or {})).admit(
            kinds.SERVICE, obj, None, AdmissionRequest("ann", "", dry_run=False)
        )
    except errors.BadRequest as error:
        return {(cause.message, cause.field) for cause in error.causes}
    return set()


def scaled(**annotations: str) -> Object:
    return annotated(
        **{f"autoscaling.knative.dev/{name.replace('_', '-')}": value for name, value in annotations.items()}
    )


def annotated(**annotations: str) -> Object:
    obj = copy.deepcopy(GOOD)
    obj["spec"]["template"]["metadata"] = {"annotations": annotations}
    return obj


def pod(**fields: Any) -> Object:
    obj = copy.deepcopy(GOOD)
    obj["spec"]["template"]["spec"] |= fields
    return obj


def container(**fields: Any) -> Object:
    return pod(containers=[{**GOOD["spec"]["template"]["spec"]["containers"][0], **fields}])


def asking(**resources: Any) -> Object:
    return container(resources=resources)


def traffic(*targets: Object) -> Object:
    return {**GOOD, "spec": {**GOOD["spec"], "traffic": list(targets)}}


def volume(source: Object, **mount: Any) -> Object:
    obj = container(volumeMounts=[{"name": "v", "mountPath": "/data", **mount}])
    obj["spec"]["template"]["spec"]["volumes"] = [{"name": "v", **source}]
    return obj


MUST_NOT = "must not set the field(s)"
MISSING = "missing field(s)"
NEITHER = "expected exactly one, got neither"
BOTH = "expected exactly one, got both"


@pytest.mark.parametrize(
    ("obj", "message", "field"),
    [
        (scaled(min_scale="-1"), "expected 0 <= -1 <= 2147483647", f"{SCALING}/min-scale"),
        (scaled(min_scale="3000000000"), "expected 0 <= 3000000000 <= 2147483647", f"{SCALING}/min-scale"),
        (scaled(minScale="x"), "invalid value: x", f"{SCALING}/minScale"),
        (scaled(min_scale="3", max_scale="2"), "max-scale=2 is less than min-scale=3", f"{SCALING}/max-scale"),
        (scaled(activation_scale="1"), "activation-scale=1 must be greater than 1", f"{SCALING}/activation-scale"),
        (scaled(target="0.001"), "target 0.001 should be at least 0.01", f"{SCALING}/target"),
        (
            scaled(target_utilization_percentage="0"),
            "expected 1 <= 0 <= 100",
            f"{SCALING}/target-utilization-percentage",
        ),
        (
            scaled(panic_threshold_percentage="20"),
            "expected 110 <= 20 <= 1000",
            f"{SCALING}/panic-threshold-percentage",
        ),
        (scaled(target_burst_capacity="-2"), "invalid value: -2", f"{SCALING}/target-burst-capacity"),
        (scaled(window="5s"), "expected 6s <= 5s <= 1h0m0s", f"{SCALING}/window"),
        (scaled(window="6500ms"), "must be specified with at most second precision", f"{SCALING}/window"),
        (scaled(scale_down_delay="soon"), "invalid value: soon", f"{SCALING}/scale-down-delay"),
        (
            scaled(scale_to_zero_pod_retention_period="-1s"),
            "expected 0s <= -1s <= 1h0m0s",
            f"{SCALING}/scale-to-zero-pod-retention-period",
        ),
        (scaled(initial_scale="0"), "invalid value: 0", f"{SCALING}/initial-scale=0 not allowed by cluster"),
        (scaled(metric="cpu"), "invalid value: cpu", f"{SCALING}/metric"),
        (
            scaled(**{"class": "x.autoscaling.knative.dev"}),
            "invalid value: x.autoscaling.knative.dev",
            f"{SCALING}/class",
        ),
        (
            annotated(**{"serving.knative.dev/progress-deadline": "1.5s"}),
            "progress-deadline=1.5s is not at second precision",
            f"{ANNOTATIONS}.serving.knative.dev/progress-deadline",
        ),
        (annotated(**{"networking.knative.dev/x": ""}), 'invalid key name "networking.knative.dev/x"', ANNOTATIONS),
        (traffic({"percent": 99}), "Traffic targets sum to 99, want 100", "spec.traffic"),
        (
            traffic({"percent": 100}, *({"tag": f"t{number}"} for number in range(200))),
            "Too many: 201: must have at most 200 items",
            "spec.traffic",
        ),
        (traffic({"percent": 101}), "expected 0 <= 101 <= 100", "spec.traffic[0].percent"),
        (traffic({"percent": 100, "configurationName": "x"}), MUST_NOT, "spec.traffic[0].configurationName"),
        (traffic({"percent": 100, "url": "http://x"}), MUST_NOT, "spec.traffic[0].url"),
        (
            traffic({"percent": 100, "revisionName": "a", "latestRevision": True}),
            'may not set revisionName "a" when latestRevision is true',
            "spec.traffic[0].latestRevision",
        ),
        (
            traffic({"percent": 100, "tag": "a"}, {"tag": "a"}),
            'Multiple definitions for "a"',
            "spec.traffic[1].tag",
        ),
        (pod(containers=[]), MISSING, f"{POD}.containers"),
        (pod(timeoutSeconds=601), "expected 0 <= 601 <= 600", f"{POD}.timeoutSeconds"),
        (pod(containerConcurrency=1001), "expected 0 <= 1001 <= 1000", f"{POD}.containerConcurrency"),
        (pod(serviceAccountName="A"), "invalid value: A", f"{POD}.serviceAccountName"),
        (pod(automountServiceAccountToken=True), MUST_NOT, f"{POD}.automountServiceAccountToken"),
        (pod(hostNetwork=True), MUST_NOT, f"{POD}.hostNetwork"),
        (pod(nodeName="x"), MUST_NOT, f"{POD}.nodeName"),
        (pod(initContainers=[{"image": "hello"}]), MUST_NOT, f"{POD}.initContainers"),
        (pod(volumes=[{"name": "v", "emptyDir": {}}]), 'volume with name "v" not mounted', f"{POD}.volumes[0].name"),
        (container(image=""), MISSING, f"{CONTAINER}.image"),
        (asking(requests={"cpu": "-1"}), "invalid value: -1", f"{RESOURCES}.requests[cpu]"),
        (asking(limits={"memory": "-1Mi"}), "invalid value: -1Mi", f"{RESOURCES}.limits[memory]"),
        (asking(limits={"cpus": "1"}), "invalid value: cpus", f"{RESOURCES}.limits[cpus]"),
        (asking(limits={"nvidia.com/gpu": "0.5"}), "invalid value: 500m", f"{RESOURCES}.limits[nvidia.com/gpu]"),
        (asking(requests={"cpu": "2"}, limits={"cpu": 1}), "invalid value: 2", f"{RESOURCES}.requests"),
        (container(image="A B"), "Failed to parse image reference", f"{CONTAINER}.image"),
        (container(name="queue-proxy"), '"queue-proxy" is a reserved container name', f"{CONTAINER}.name"),
        (container(lifecycle={}), MUST_NOT, f"{CONTAINER}.lifecycle"),
        (container(terminationMessagePolicy="X"), "invalid value: X", f"{CONTAINER}.terminationMessagePolicy"),
        (container(env=[{"name": "PORT"}]), '"PORT" is a reserved environment variable', f"{CONTAINER}.env[0].name"),
        (container(env=[{"value": "a"}]), MISSING, f"{CONTAINER}.env[0].name"),
        (
            container(env=[{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "a"}}}]),
            MUST_NOT,
            f"{CONTAINER}.env[0].valueFrom.fieldRef",
        ),
        (container(envFrom=[{}]), NEITHER, f"{CONTAINER}.envFrom.secretRef"),
        (
            container(ports=[{"containerPort": 8012}]),
            "invalid value: 8012 is a reserved port",
            f"{CONTAINER}.ports.containerPort",
        ),
        (
            container(ports=[{"containerPort": 65536}]),
            "expected 0 <= 65536 <= 65535",
            f"{CONTAINER}.ports.containerPort",
        ),
        (container(ports=[{"name": "x"}]), "Port name x is not allowed", f"{CONTAINER}.ports"),
        (container(ports=[{"protocol": "UDP"}]), "invalid value: UDP", f"{CONTAINER}.ports.protocol"),
        (container(ports=[{"hostPort": 1}]), MUST_NOT, f"{CONTAINER}.ports.hostPort"),
        (container(ports=[{}, {}]), "more than one container port is set", f"{POD}.containers[*].ports"),
        (container(securityContext={"privileged": True}), MUST_NOT, f"{CONTAINER}.securityContext.privileged"),
        (
            container(securityContext={"runAsUser": -1}),
            "expected 0 <= -1 <= 2147483647",
            f"{CONTAINER}.securityContext.runAsUser",
        ),
        (
            container(securityContext={"capabilities": {"add": ["X"]}}),
            MUST_NOT,
            f"{CONTAINER}.securityContext.capabilities.add",
        ),
        (
            container(readinessProbe={"failureThreshold": 1}),
            "failureThreshold is disallowed when periodSeconds is zero",
            f"{CONTAINER}.readinessProbe.failureThreshold",
        ),
        (
            container(readinessProbe={"periodSeconds": 1, "timeoutSeconds": -1}),
            "expected 1 <= -1 <= 2147483647",
            f"{CONTAINER}.readinessProbe.timeoutSeconds",
        ),
        (container(livenessProbe={}), NEITHER, f"{CONTAINER}.livenessProbe.exec"),
        (container(livenessProbe={"exec": {}, "tcpSocket": {}}), BOTH, f"{CONTAINER}.livenessProbe.exec"),
        (
            container(livenessProbe={"httpGet": {"port": "other"}}),
            "invalid value: other",
            f"{CONTAINER}.livenessProbe.httpGet.port",
        ),
        (volume({}), NEITHER, f"{POD}.volumes[0].secret"),
        (volume({"secret": {}, "configMap": {}}), BOTH, f"{POD}.volumes[0].secret"),
        (volume({"hostPath": {"path": "/"}}), MUST_NOT, f"{POD}.volumes[0].hostPath"),
        (volume({"hostPath": {"path": "/"}}), "HostPath volume support is disabled, but found HostPath volume v", ""),
        (volume({"emptyDir": {"medium": "Disk"}}), "invalid value: Disk", f"{POD}.volumes[0].emptyDir.medium"),
        (volume({"secret": {"items": [{"key": "a"}]}}), MISSING, f"{POD}.volumes[0].items[0].path"),
        (volume({"projected": {"sources": [{}]}}), NEITHER, f"{POD}.volumes[0].projected[0].secret"),
        (
            volume({"secret": {}}, mountPath="/"),
            'mountPath "/" is a reserved path',
            f"{CONTAINER}.volumeMounts[0].mountPath",
        ),
        (volume({"secret": {}}, mountPath="a"), "invalid value: a", f"{CONTAINER}.volumeMounts[0].mountPath"),
        (volume({"secret": {}}, name="w"), "volumeMount has no matching volume", f"{CONTAINER}.volumeMounts[0].name"),
        (volume({"secret": {}}, subPathExpr="x"), MUST_NOT, f"{CONTAINER}.volumeMounts[0].subPathExpr"),
    ],
)
def test_a_single_error_is_reported_with_its_field(obj: Object, message: str, field: str) -> None:
    assert (message, field) in problems(obj)


@pytest.mark.parametrize(
    "obj",
    [
        GOOD,
        scaled(min_scale="1", max_scale="3", activation_scale="2", window="10s", target="0.5", metric="rps"),
        scaled(**{"class": "mine.example.com", "metric": "anything"}),
        traffic({"percent": 90, "revisionName": "hello-1"}, {"percent": 10}, {"tag": "x", "revisionName": "hello-2"}),
        container(ports=[{"containerPort": 8080, "name": "h2c"}], livenessProbe={"httpGet": {"port": "h2c"}}),
        container(readinessProbe={"httpGet": {"path": "/"}, "periodSeconds": 1}),
        volume({"emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}}, subPath="a"),
        volume({"secret": {"secretName": "s"}}),
    ],
)
def test_a_valid_object_is_admitted(obj: Object) -> None:
    assert problems(obj) == set()


@pytest.mark.parametrize(
    ("containers", "message", "field"),
    [
        ([{"image": "one"}, {"image": "two"}], MISSING, f"{POD}.containers[*].ports"),
        (
            [{"image": "one", "name": "a", "ports": [{}]}, {"image": "two", "name": "a"}],
            'duplicate container name "a"',
            f"{POD}.containers[1].name",
        ),
        (
            [{"image": "one", "ports": [{}]}, {"image": "two", "livenessProbe": {"exec": {}}}],
            MUST_NOT,
            f"{POD}.containers[1].livenessProbe",
        ),
    ],
)
def test_several_containers_have_one_port_and_names(containers: list[Object], message: str, field: str) -> None:
    assert (message, field) in problems(pod(containers=containers), ON)


def test_a_limit_on_the_scale_is_a_limit_for_all() -> None:
    limited = {"config-autoscaler": {"max-scale-limit": "10", "max-scale": "5"}}

    assert ("expected 1 <= 20 <= 10", f"{SCALING}/max-scale") in problems(scaled(max_scale="20"), limited)
    message = "max-scale=0 (unlimited), must be less than 10"
    assert (message, f"{SCALING}/max-scale") in problems(scaled(max_scale="0"), limited)


def test_scaling_annotations_are_rejected_on_the_service_itself() -> None:
    obj = copy.deepcopy(GOOD)
    obj["metadata"]["annotations"] = {"autoscaling.knative.dev/min-scale": "1"}

    assert ('invalid key name "autoscaling.knative.dev/min-scale"', "metadata.annotations") in problems(obj)


@pytest.mark.parametrize(("name", "why"), [("other", 'must have prefix "hello-"'), ("Hello-1", "not a DNS 1035 label")])
def test_a_chosen_revision_name_begins_with_the_name_of_its_service(name: str, why: str) -> None:
    obj = copy.deepcopy(GOOD)
    obj["spec"]["template"]["metadata"] = {"name": name}

    ((message, field),) = problems(obj)
    assert field == "spec.template.metadata.name"
    assert why in message


@pytest.mark.parametrize("kind", [kinds.SERVICE, kinds.ROUTE, kinds.INGRESS])
def test_the_mirror_annotation_is_checked_on_every_kind_that_has_it(kind: kinds.Kind) -> None:
    wrong = {names.MIRROR: "candidate=many"}
    obj = {kinds.SERVICE: make.service, kinds.ROUTE: make.route, kinds.INGRESS: make.ingress}[kind](annotations=wrong)

    with pytest.raises(errors.BadRequest) as refused:
        Admission(BUILT_IN_SCHEME, lambda: Configs.parse({})).admit(
            kind, make.new(obj), None, AdmissionRequest("ann", "", dry_run=False)
        )

    assert [(cause.message, cause.field) for cause in refused.value.causes] == [
        ("invalid value: candidate=many", f"metadata.annotations.{names.MIRROR}")
    ]
    assert '"candidate=many" is not NAME=PERCENT' in str(refused.value)
