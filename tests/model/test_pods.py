# SPDX-License-Identifier: Apache-2.0
"""The state of an instance, read from its Pod."""

from typing import Any

import pytest

from tidegate.model import names, pods
from tidegate.model.objects import Key, Object

ENDED = {"exitCode": 2, "reason": "Error"}
STARVED = {"exitCode": 137, "reason": "OOMKilled", "message": "loading"}
CRASHED = {"exitCode": 7, "reason": "Error", "message": "no database here"}


def pod(*, metadata: dict[str, Any] | None = None, containers: Any = None, **status: Any) -> Object:
    return {
        "metadata": {"name": "hello-00001-abcde", "namespace": "default", **(metadata or {})},
        "spec": {"containers": containers or [{"name": "user-container", "ports": [{"containerPort": 8081}]}]},
        "status": status,
    }


def container(*, ready: bool = False, **states: Any) -> dict[str, Any]:
    return {"containerStatuses": [{"name": "user-container", "ready": ready, **states}]}


def test_a_pod_belongs_to_the_revision_of_its_label() -> None:
    labelled = pod(metadata={"labels": {names.REVISION: "hello-00001"}})

    assert pods.revision_key(labelled) == Key("default", "hello-00001")
    assert pods.revision_key(pod()) is None


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (pod(), None),
        (pod(podIP="127.0.0.1"), "127.0.0.1:8081"),
        (pod(podIP="127.0.0.1", metadata={"annotations": {names.PORT: "40123"}}), "127.0.0.1:40123"),
        (pod(podIP="127.0.0.1", containers=[{"name": "a"}]), "127.0.0.1:8080"),
        (
            pod(podIP="10.0.0.1", containers=[{"name": "a"}, {"name": "b", "ports": [{"containerPort": 9}]}]),
            "10.0.0.1:9",
        ),
    ],
)
def test_the_endpoint_is_the_address_with_the_agents_port_or_the_containers(given: Object, wanted: str | None) -> None:
    assert pods.endpoint(given) == wanted


def test_a_pod_on_standby_or_prepared_is_no_instance_and_not_ready() -> None:
    ready: dict[str, Any] = {"conditions": [{"type": "Ready", "status": "True"}]}

    assert pods.is_instance(pod(**ready))
    for label in (names.STANDBY, names.PREPARED):
        waiting = pod(metadata={"labels": {label: "true"}}, **ready)
        assert not pods.is_instance(waiting)
        assert not pods.is_ready(waiting)


def test_a_prepared_pod_is_created_once_the_node_says_so() -> None:
    state: dict[str, Any] = {"conditions": [{"type": names.PREPARED_STATE, "status": "True"}]}
    labelled: dict[str, Any] = {"labels": {names.PREPARED: "true"}}

    assert pods.is_created(pod(metadata=labelled, **state))
    assert not pods.is_created(pod(metadata=labelled))
    assert not pods.is_created(pod(**state))  # it was woken


def test_a_pod_that_is_being_deleted_is_draining_and_not_ready() -> None:
    ready: dict[str, Any] = {"conditions": [{"type": "Ready", "status": "True"}]}

    assert pods.is_ready(pod(**ready))
    assert not pods.is_ready(pod())
    leaving = pod(metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"}, **ready)
    assert pods.is_draining(leaving)
    assert not pods.is_ready(leaving)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (pod(), None),
        (pod(**container(state={"waiting": {"reason": "ContainerCreating"}})), None),
        (pod(**container(state={"running": {}})), None),
        (
            pod(**container(state={"waiting": {"reason": "ContainerMissing", "message": "/no/such/program"}})),
            ("ContainerMissing", "/no/such/program"),
        ),
        (
            pod(**container(state={"waiting": {"reason": "CrashLoopBackOff"}}, lastState={"terminated": CRASHED})),
            ("ExitCode7", "Container failed with: no database here"),
        ),
        (
            pod(**container(state={"running": {}}, lastState={"terminated": CRASHED}, restartCount=2)),
            ("ExitCode7", "Container failed with: no database here"),
        ),
        (pod(**container(state={"running": {}}, lastState={"terminated": CRASHED}, restartCount=1)), None),
        (pod(**container(state={"terminated": CRASHED})), None),
        (pod(**container(ready=True, state={"running": {}}, lastState={"terminated": CRASHED})), None),
        (
            pod(**container(state={"terminated": {"exitCode": 0}}, restartCount=1)),
            ("ExitCode0", "Container failed with: container exited with no error"),
        ),
        (
            pod(**container(state={"terminated": STARVED}, restartCount=1)),
            ("ExitCode137", "Container failed with: OOMKilled: loading"),
        ),
        (pod(initContainerStatuses=[{"name": "a", "state": {"terminated": {"exitCode": 0}}}]), None),
        (
            pod(initContainerStatuses=[{"name": "a", "state": {"terminated": ENDED}, "restartCount": 1}]),
            ("ExitCode2", "Container failed with: Error"),
        ),
        (
            pod(
                metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"},
                **container(state={"terminated": {"exitCode": 143}}, restartCount=1),
            ),
            None,
        ),
    ],
)
def test_a_container_that_cannot_run_or_has_ended_is_a_failure(given: Object, wanted: tuple[str, str] | None) -> None:
    assert pods.failure(given) == wanted


def test_a_pod_that_no_node_accepts_has_the_reason() -> None:
    entry = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "Insufficient cpu"}

    assert pods.unschedulable(pod(conditions=[entry])) == ("Unschedulable", "Insufficient cpu")
    assert pods.unschedulable(pod(conditions=[{**entry, "status": "True"}])) is None


@pytest.mark.parametrize(
    ("annotation", "images", "wanted"),
    [
        ("", [names.HOST_IMAGE], "process"),
        ("", [f"{names.BUNDLE_IMAGE_PREFIX}app@sha256:{'0' * 64}", names.HOST_IMAGE], "process"),
        ("", ["nginx"], "oci"),
        ("", [names.HOST_IMAGE, "nginx"], "oci"),
        ("oci", [names.HOST_IMAGE], "oci"),
        ("process", ["nginx"], "process"),
        ("another", ["nginx"], "oci"),
    ],
)
def test_the_images_of_a_pod_choose_its_runtime_unless_its_annotation_does(
    annotation: str, images: list[str], wanted: str
) -> None:
    metadata = {"annotations": {names.RUNTIME: annotation} if annotation else {}}
    containers = [{"name": f"c{number}", "image": image} for number, image in enumerate(images)]

    assert pods.runtime_of(pod(metadata=metadata, containers=containers)) == wanted
