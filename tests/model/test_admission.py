# SPDX-License-Identifier: Apache-2.0
import copy
import dataclasses
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as some

from tidegate.model import errors, kinds, names
from tidegate.model.admission import Admission, AdmissionRequest, Admitted
from tidegate.model.config import Configs, FeaturesConfig, Flag
from tidegate.model.groups import BUILT_IN_SCHEME
from tidegate.model.kinds import Kind
from tidegate.model.objects import Object

DEFAULTS = Configs()
IMAGE = "docker.io/library/hello:1"
DIGEST = "a" * 64
EVERYTHING = Configs(
    features=FeaturesConfig(**{field.name: Flag.ENABLED for field in dataclasses.fields(FeaturesConfig)}),
)


def admit(
    kind: Kind,
    new: Any,
    old: Object | None = None,
    *,
    user: str = "ann",
    subresource: str = "",
    configs: Configs = DEFAULTS,
) -> Admitted:
    return Admission(BUILT_IN_SCHEME, lambda: configs).admit(
        kind, new, old, AdmissionRequest(user, subresource, dry_run=False)
    )


def refused(kind: Kind, new: Any, old: Object | None = None, *, configs: Configs = DEFAULTS) -> errors.ApiError:
    with pytest.raises(errors.ApiError) as caught:
        admit(kind, new, old, configs=configs)
    return caught.value


def metadata(name: str = "hello", **more: Any) -> Object:
    return {"name": name, "namespace": "default", **more}


def service(image: str = IMAGE, **template: Any) -> Object:
    spec = {"template": {**template, "spec": {"containers": [{"image": image}]}}}
    return {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "metadata": metadata(), "spec": spec}


def annotated(**annotations: str) -> Object:
    return service(metadata={"annotations": {f"tidegate.dev/{name}": value for name, value in annotations.items()}})


json = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats(allow_nan=False) | some.text(max_size=8),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = (
    *("metadata", "spec", "status", "template", "containers", "initContainers", "volumes", "volumeMounts", "traffic"),
    *(
        "name",
        "generateName",
        "annotations",
        "labels",
        "ownerReferences",
        "env",
        "envFrom",
        "valueFrom",
        "ports",
        "image",
    ),
    *(
        "readinessProbe",
        "livenessProbe",
        "httpGet",
        "tcpSocket",
        "grpc",
        "port",
        "securityContext",
        "capabilities",
        "drop",
    ),
    *("resources", "limits", "cpu", "emptyDir", "sizeLimit", "projected", "sources", "items", "rules", "http", "paths"),
    *("splits", "percent", "scaleTargetRef", "data", "type", "involvedObject", "timeoutSeconds", "tag", "revisionName"),
)
shaped = some.recursive(
    json,
    lambda inner: some.lists(inner, max_size=2) | some.dictionaries(some.sampled_from(FIELDS), inner, max_size=5),
    max_leaves=25,
)
WELL_SHAPED = service()
KNATIVE = [resource.kind for resource in BUILT_IN_SCHEME if resource.pruned]


@pytest.mark.parametrize("kind", kinds.BUILT_IN_KINDS, ids=lambda kind: kind.kind)
@given(new=json | shaped, spec=shaped, on_update=some.booleans())
@example(new={}, spec={"template": {"spec": {"containers": "x"}}}, on_update=False)
@example(new={}, spec={"template": None}, on_update=False)
@example(new={"metadata": []}, spec=None, on_update=False)
def test_any_json_is_admitted_or_refused_and_never_a_fault(kind: Kind, new: Any, spec: Any, on_update: bool) -> None:
    old = admit(kinds.SERVICE, WELL_SHAPED).object if on_update and kind is kinds.SERVICE else None
    for obj in (new, {**(new if isinstance(new, dict) else {}), "metadata": metadata(), "spec": spec}):
        try:
            admitted = admit(kind, obj, old)
        except errors.ApiError as error:
            assert error.causes
        else:
            assert admit(kind, admitted.object, old).object == admitted.object


FULL: Object = {
    "metadata": metadata(
        labels={"a": "b", names.SERVICE: "hello"},
        annotations={"serving.knative.dev/rollout-duration": "10s", "a": "b"},
        ownerReferences=[{"apiVersion": "v1", "kind": "Service", "name": "hello", "uid": "u", "controller": True}],
        finalizers=["a"],
    ),
    "spec": {
        "template": {
            "metadata": {
                "name": "hello-1",
                "labels": {"a": "b"},
                "annotations": {
                    "autoscaling.knative.dev/min-scale": "1",
                    "autoscaling.knative.dev/window": "10s",
                    "queue.sidecar.serving.knative.dev/resource-percentage": "10",
                    names.STANDBY: "1",
                },
            },
            "spec": {
                "containerConcurrency": 1,
                "timeoutSeconds": 10,
                "serviceAccountName": "a",
                "imagePullSecrets": [{"name": "a"}],
                "securityContext": {"supplementalGroups": [1], "seccompProfile": {"type": "RuntimeDefault"}},
                "initContainers": [{"image": IMAGE}],
                "containers": [
                    {
                        "image": IMAGE,
                        "command": ["a"],
                        "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "a", "key": "b"}}}],
                        "envFrom": [{"secretRef": {"name": "a"}}],
                        "ports": [{"containerPort": 80, "name": "h2c"}],
                        "resources": {"limits": {"cpu": "1"}, "requests": {"memory": "1Gi"}},
                        "readinessProbe": {"httpGet": {"path": "/", "port": 80, "httpHeaders": [{"name": "a"}]}},
                        "livenessProbe": {"grpc": {"port": 80}},
                        "startupProbe": {"tcpSocket": {"port": "x"}, "periodSeconds": 1},
                        "securityContext": {"capabilities": {"drop": ["ALL"]}, "runAsUser": 1},
                        "volumeMounts": [{"name": "v", "mountPath": "/v"}, {"name": "e", "mountPath": "/e"}],
                    },
                    {"image": IMAGE, "readinessProbe": {"exec": {"command": ["a"]}}},
                ],
                "volumes": [
                    {"name": "v", "projected": {"sources": [{"secret": {"name": "a", "items": [{"key": "k"}]}}]}},
                    {"name": "e", "emptyDir": {"sizeLimit": "1Gi"}},
                    {"name": "c", "configMap": {"name": "c", "items": [{"key": "k", "path": "p"}]}},
                ],
            },
        },
        "traffic": [
            {"percent": 50, "revisionName": "hello-1", "tag": "a"},
            {"percent": 50, "latestRevision": True, "url": "http://a"},
        ],
    },
}


def places(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The paths of all values inside `value`."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in inner for place in places(item, (*path, key)))]


@given(
    place=some.sampled_from(places(FULL)[1:]),
    value=json | shaped,
    kind=some.sampled_from(KNATIVE),
)
def test_any_json_in_any_place_is_admitted_or_refused_and_never_a_fault(
    place: tuple[str | int, ...], value: Any, kind: Kind
) -> None:
    changed = copy.deepcopy(FULL)
    if kind is kinds.REVISION:
        changed["spec"] = {**changed["spec"], **changed["spec"]["template"]["spec"]}
    holder: Any = changed
    for step in place[:-1]:
        holder = holder[step]
    holder[place[-1]] = value
    try:
        admit(kind, changed, configs=EVERYTHING)
        admit(kind, changed, FULL, configs=EVERYTHING)
    except errors.ApiError as error:
        assert error.causes


def test_a_wrong_type_is_reported_with_its_path_and_both_types() -> None:
    bad = service()
    bad["spec"]["template"]["spec"]["containers"] = "hello"

    error = refused(kinds.SERVICE, bad)

    assert error.code == 400
    assert "spec.template.spec.containers: expected a list, got a string" in error.message
    assert error.causes[0].field == "spec.template.spec.containers"


def test_a_refusal_is_in_the_words_of_knatives_webhook() -> None:
    error = refused(kinds.SERVICE, service(image="")).status()

    start = 'admission webhook "validation.webhook.serving.knative.dev" denied the request: validation failed: '
    assert error["message"] == f"{start}missing field(s): spec.template.spec.containers[0].image"
    assert (error["code"], error["reason"]) == (400, "BadRequest")
    field = "spec.template.spec.containers[0].image"
    assert error["details"]["causes"] == [
        {"reason": "FieldValueRequired", "message": "missing field(s)", "field": field}
    ]


def test_unknown_fields_are_dropped() -> None:
    written = service()
    written["spec"]["foo"] = written["extra"] = 1

    admitted = admit(kinds.SERVICE, written).object

    assert "foo" not in admitted["spec"]
    assert "extra" not in admitted


def test_the_arguments_are_not_changed() -> None:
    written = service()

    admit(kinds.SERVICE, written)

    assert written == service()


@pytest.mark.parametrize("image", [names.HOST_IMAGE, f"tidegate.dev/bundle/my-app@sha256:{DIGEST}"])
def test_tidegates_own_images_are_images(image: str) -> None:
    assert admit(kinds.SERVICE, service(image)).object


@pytest.mark.parametrize("image", ["tidegate.dev/bundle/my-app", "tidegate.dev/bundle/My@sha256:" + DIGEST])
def test_an_incomplete_bundle_image_is_rejected(image: str) -> None:
    assert "NAME@sha256:DIGEST" in refused(kinds.SERVICE, service(image)).message


@pytest.mark.parametrize(
    "good", [{"runtime": "oci"}, {"runtime": "process", "standby": "2"}, {"standby": "0"}, {"prepared": "0"}]
)
def test_tidegates_own_annotations_are_accepted(good: dict[str, str]) -> None:
    assert admit(kinds.SERVICE, annotated(**good)).object


@pytest.mark.parametrize(
    "bad", [{"runtime": "docker"}, {"standby": "-1"}, {"standby": "some"}, {"standby": "1.5"}, {"prepared": "-1"}]
)
def test_invalid_values_of_tidegates_annotations_are_rejected(bad: dict[str, str]) -> None:
    error = refused(kinds.SERVICE, annotated(**bad))

    assert error.causes[0].field == f"spec.template.metadata.annotations.tidegate.dev/{next(iter(bad))}"


@pytest.mark.parametrize("counted", ["standby", "prepared"])
def test_a_revision_has_at_most_a_hundred_standby_instances_and_prepared_pods(counted: str) -> None:
    assert admit(kinds.SERVICE, annotated(**{counted: "100"})).object

    error = refused(kinds.SERVICE, annotated(**{counted: "101"}))

    assert error.causes[0].field == f"spec.template.metadata.annotations.tidegate.dev/{counted}"
    assert "expected 0 <= 101 <= 100" in error.message


def test_the_creator_and_the_last_modifier_are_noted() -> None:
    made = admit(kinds.SERVICE, service(), user="ann").object
    changed = {**made, "spec": service("docker.io/library/hello:2")["spec"]}

    after = admit(kinds.SERVICE, changed, made, user="bob").object["metadata"]["annotations"]

    assert (after[names.CREATOR], after[names.LAST_MODIFIER]) == ("ann", "bob")


def test_a_second_identical_write_changes_nothing() -> None:
    made = admit(kinds.SERVICE, service(), user="ann").object

    assert admit(kinds.SERVICE, made, made, user="bob").object == made


def test_an_object_that_is_being_deleted_may_lose_its_finalizers_despite_newer_rules() -> None:
    going = admit(kinds.SERVICE, service()).object
    going["metadata"] |= {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["x"]}
    strict = Configs.parse(
        {"config-defaults": {"allow-container-concurrency-zero": "false", "container-concurrency": "1"}}
    )
    released = {**going, "metadata": {name: value for name, value in going["metadata"].items() if name != "finalizers"}}

    assert admit(kinds.SERVICE, released, going, configs=strict).object["metadata"]["deletionTimestamp"]


def test_a_status_is_stored_unchanged() -> None:
    status = {"conditions": [{"type": "Ready", "status": "True", "ours": 1}], "more": {"kept": []}}
    made = admit(kinds.SERVICE, service()).object

    admitted = admit(kinds.SERVICE, {**made, "status": status}, made, subresource="status")

    assert admitted.object == {**made, "status": status}


def test_a_change_of_a_revision_is_rejected_with_its_differences() -> None:
    revision = {"metadata": metadata("hello-1"), "spec": {"containers": [{"image": IMAGE}]}}
    made = admit(kinds.REVISION, revision).object

    error = refused(kinds.REVISION, {**made, "spec": {**made["spec"], "timeoutSeconds": 5}}, made)

    assert "Immutable fields changed (-old +new): spec\ntimeoutSeconds:\n\t-: 300\n\t+: 5" in error.message


def test_a_pod_autoscaler_gets_its_class_and_metric() -> None:
    spec = {
        "protocolType": "http1",
        "scaleTargetRef": {"apiVersion": "serving.knative.dev/v1", "kind": "Revision", "name": "hello-1"},
    }

    made = admit(kinds.POD_AUTOSCALER, {"metadata": metadata("hello-1"), "spec": spec}).object

    assert made["metadata"]["annotations"] == {
        "autoscaling.knative.dev/class": "kpa.autoscaling.knative.dev",
        "autoscaling.knative.dev/metric": "concurrency",
    }


@pytest.mark.parametrize(
    ("spec", "fields"),
    [
        ({}, {"spec"}),
        (
            {"protocolType": "x", "scaleTargetRef": {"apiVersion": "v1", "kind": "Pod", "name": "a"}},
            {"spec.protocolType"},
        ),
        ({"protocolType": "h2c"}, {f"spec.scaleTargetRef.{field}" for field in ("apiVersion", "kind", "name")}),
        (
            {
                "protocolType": "h2c",
                "scaleTargetRef": {"apiVersion": "v1", "kind": "a b", "name": "A", "uid": "u"},
                "containerConcurrency": -1,
            },
            {
                "spec.containerConcurrency",
                "spec.scaleTargetRef.kind",
                "spec.scaleTargetRef.name",
                "spec.scaleTargetRef.uid",
            },
        ),
    ],
)
def test_a_wrong_pod_autoscaler_is_rejected(spec: Object, fields: set[str]) -> None:
    error = refused(kinds.POD_AUTOSCALER, {"metadata": metadata("hello-1"), "spec": spec})

    assert {cause.field for cause in error.causes} == fields


def ingress(*splits: Object, **rule: Any) -> Object:
    rules = [{"hosts": ["a.example"], "http": {"paths": [{"splits": list(splits)}]}, **rule}]
    return {"metadata": metadata(), "spec": {"rules": rules}}


def split(percent: int = 100, namespace: str = "default") -> Object:
    return {"serviceName": "hello-1", "serviceNamespace": namespace, "servicePort": 80, "percent": percent}


def test_an_ingress_is_external_by_default_and_a_single_split_gets_all_requests() -> None:
    made = admit(kinds.INGRESS, ingress(split(0))).object

    rule = made["spec"]["rules"][0]
    assert rule["visibility"] == "ExternalIP"
    assert rule["http"]["paths"][0]["splits"][0]["percent"] == 100


@pytest.mark.parametrize(
    ("obj", "field"),
    [
        ({"metadata": metadata(), "spec": {}}, "spec"),
        ({"metadata": metadata(), "spec": {"httpOption": "Enabled"}}, "spec.rules"),
        (ingress(split(50), split(40)), "spec.rules[0].http.paths[0].splits"),
        (ingress(split(101)), "spec.rules[0].http.paths[0].splits[0].percent"),
        (ingress(split(namespace="other")), "spec.rules[0].http.paths[0].splits[0].serviceNamespace"),
        (ingress(), "spec.rules[0].http.paths[0].splits"),
        (ingress(split(), http={}), "spec.rules[0].http.paths"),
        (ingress(split(), hosts=["a.example", "bücher.example"]), "spec.rules[0].hosts[1]"),
        (ingress(split(), hosts=["A.example"]), "spec.rules[0].hosts[0]"),
        (ingress(split(), hosts=[""]), "spec.rules[0].hosts[0]"),
        (ingress(split(), hosts=["a_b.example"]), "spec.rules[0].hosts[0]"),
        (ingress(split(), http=None), "spec.rules[0].http"),
        (
            {**ingress(split()), "spec": {**ingress(split())["spec"], "tls": [{"hosts": ["a"]}]}},
            "spec.tls[0].secretName",
        ),
        (
            {**ingress(split()), "spec": {**ingress(split())["spec"], "tls": [{"hosts": ["ü"], "secretName": "s"}]}},
            "spec.tls[0].hosts[0]",
        ),
    ],
)
def test_a_wrong_ingress_is_rejected(obj: Object, field: str) -> None:
    assert refused(kinds.INGRESS, obj).causes[0].field == field


def pod(**spec: Any) -> Object:
    return {"metadata": metadata("p"), "spec": {"containers": [{"name": "app", "image": IMAGE}], **spec}}


def test_a_pod_is_bound_once_and_is_otherwise_immutable() -> None:
    made = admit(kinds.POD, pod()).object
    bound = admit(kinds.POD, {**made, "spec": {**made["spec"], "nodeName": "here"}}, made).object

    assert made["spec"]["restartPolicy"] == "Always"
    assert bound["spec"]["nodeName"] == "here"
    assert refused(kinds.POD, {**bound, "spec": {**bound["spec"], "nodeName": "there"}}, bound).code == 422
    assert refused(kinds.POD, {**bound, "spec": {**bound["spec"], "hostname": "x"}}, bound).code == 422


def test_volumes_of_a_new_pod_have_the_defaults_of_kubernetes() -> None:
    token = {"serviceAccountToken": {"path": "token"}}
    volumes = [
        {"name": "empty"},
        {"name": "config", "configMap": {"name": "c"}},
        {"name": "all", "projected": {"sources": [token]}},
        {"name": "host", "hostPath": {"path": "/srv"}},
    ]
    spec = {"containers": [{"name": "main", "image": "x"}], "volumes": volumes}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "default"}, "spec": spec}

    made = admit(kinds.POD, pod).object["spec"]["volumes"]

    assert made == [
        {"name": "empty", "emptyDir": {}},
        {"name": "config", "configMap": {"name": "c", "defaultMode": 0o644}},
        {
            "name": "all",
            "projected": {
                "sources": [{"serviceAccountToken": {"path": "token", "expirationSeconds": 3600}}],
                "defaultMode": 0o644,
            },
        },
        {"name": "host", "hostPath": {"path": "/srv", "type": ""}},
    ]


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"containers": []}, "spec.containers"),
        ({"containers": [{"name": "a"}]}, "spec.containers[0].image"),
        ({"containers": [{"image": "a"}]}, "spec.containers[0].name"),
        ({"initContainers": [{"name": "app", "image": "a"}]}, "spec.containers[0].name"),
        ({"containers": [{"name": "A", "image": "a"}]}, "spec.containers[0].name"),
        ({"securityContext": {"runAsUser": -1}}, "spec.securityContext.runAsUser"),
        ({"securityContext": {"runAsGroup": 2**32}}, "spec.securityContext.runAsGroup"),
        ({"securityContext": {"fsGroup": 2**31}}, "spec.securityContext.fsGroup"),
        ({"securityContext": {"supplementalGroups": [1, 2**32 - 1]}}, "spec.securityContext.supplementalGroups[1]"),
        *(
            ({"containers": [{"name": "a", "image": "a", probe: {field: -1}}]}, f"spec.containers[0].{probe}.{field}")
            for probe in ("readinessProbe", "livenessProbe", "startupProbe")
            for field in (
                *("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"),
                "terminationGracePeriodSeconds",
            )
        ),
        (
            {"initContainers": [{"name": "a", "image": "a", "startupProbe": {"successThreshold": 2}}]},
            "spec.initContainers[0].startupProbe.successThreshold",
        ),
        ({"terminationGracePeriodSeconds": -1}, "spec.terminationGracePeriodSeconds"),
        ({"activeDeadlineSeconds": 0}, "spec.activeDeadlineSeconds"),
        ({"activeDeadlineSeconds": 2**31}, "spec.activeDeadlineSeconds"),
        (
            {"containers": [{"name": "a", "image": "a", "securityContext": {"runAsUser": 2**32 - 1}}]},
            "spec.containers[0].securityContext.runAsUser",
        ),
    ],
)
def test_a_wrong_pod_is_rejected_in_kubernetes_words(spec: Object, field: str) -> None:
    error = refused(kinds.POD, pod(**spec))

    assert (error.code, error.reason, error.causes[0].field) == (422, "Invalid", field)
    assert error.message.startswith('Pod "p" is invalid: ')


def secret(**fields: Any) -> Object:
    return {"metadata": metadata("s"), **fields}


def test_a_secret_without_a_type_is_opaque() -> None:
    assert admit(kinds.SECRET, secret(data={"a": "eA=="})).object["type"] == "Opaque"


@pytest.mark.parametrize(
    ("obj", "field"),
    [
        (secret(data={"a": "%"}), "data[a]"),
        (secret(data={"a b": "eA=="}), "data[a b]"),
        (secret(type="kubernetes.io/tls", data={"tls.crt": "eA=="}), "data[tls.key]"),
        (secret(data={"a": "A" * (4 * 1024 * 1024)}), "data"),
    ],
)
def test_a_wrong_secret_is_rejected(obj: Object, field: str) -> None:
    assert refused(kinds.SECRET, obj).causes[0].field == field


def test_a_refusal_does_not_contain_the_data_of_a_secret() -> None:
    assert "hunter-2" not in str(refused(kinds.SECRET, secret(data={"a": "hunter-2"})).status())


def test_an_immutable_secret_or_config_map_cannot_change() -> None:
    for kind in (kinds.SECRET, kinds.CONFIG_MAP):
        made = admit(kind, {"metadata": metadata("s"), "data": {"a": "eA=="}, "immutable": True}).object

        assert admit(kind, {**made, "metadata": metadata("s", labels={"a": "b"})}, made).object
        assert refused(kind, {**made, "data": {}}, made).causes[0].field == "data"
        assert refused(kind, {**made, "immutable": False}, made).causes[0].field == "immutable"


def test_a_config_map_has_each_key_once() -> None:
    error = refused(kinds.CONFIG_MAP, {"metadata": metadata("c"), "data": {"a": ""}, "binaryData": {"a": ""}})

    assert error.causes[0].field == "data[a]"


def test_a_map_with_settings_must_parse() -> None:
    broken = {
        "metadata": metadata("config-autoscaler", namespace=names.SYSTEM_NAMESPACE),
        "data": {"stable-window": "1s"},
    }

    error = refused(kinds.CONFIG_MAP, broken)

    assert error.code == 400
    assert "config-autoscaler: stable-window" in error.message
    assert error.causes[0].field == "data.stable-window"
    assert admit(kinds.CONFIG_MAP, {**broken, "metadata": metadata("config-autoscaler")}).object


def test_an_event_is_in_the_namespace_of_its_object() -> None:
    about = {"kind": "Pod", "name": "p", "namespace": "other"}

    assert refused(kinds.EVENT, {"metadata": metadata("e"), "involvedObject": about}).code == 422
    assert admit(kinds.EVENT, {"metadata": metadata("e"), "involvedObject": {"kind": "Node", "name": "n"}}).object
