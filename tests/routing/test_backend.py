# SPDX-License-Identifier: Apache-2.0
"""A revision and its Pods, as a backend."""

from typing import Any

import pytest

from harness import make
from tidegate.model import names
from tidegate.model.objects import Object
from tidegate.routing.backend import backend, changed_pod_changes_backend, unavailable
from tidegate.routing.table import Endpoint

REVISION = make.revision()
DELETED = {"deletionTimestamp": make.EARLY}


def pod(suffix: str, port: int = 9000, *, ready: bool = True, metadata: dict[str, Any] | None = None) -> Object:
    more = {"annotations": {names.PORT: str(port)}, **(metadata or {})}
    return make.pod(REVISION, suffix, ready=ready, metadata=more)


def test_a_ready_instance_gets_requests_and_a_deleted_one_drains() -> None:
    pods = [pod("b", 9001), pod("a", 9000), pod("c", 9002, ready=False), pod("d", 9003, metadata=DELETED)]

    assert backend(REVISION, pods).endpoints == (
        Endpoint("127.0.0.1:9000"),
        Endpoint("127.0.0.1:9001"),
        Endpoint("127.0.0.1:9003", draining=True),
    )


def test_an_announced_instance_counts_until_its_pod_is_deleted() -> None:
    announced = ["127.0.0.1:9000", "127.0.0.1:9001"]
    pods = [pod("a", 9000, metadata=DELETED), make.pod(REVISION, "b", status=make.crashed("broken"))]
    made = backend(REVISION, pods, announced)

    assert made.endpoints == (Endpoint("127.0.0.1:9000", draining=True), Endpoint("127.0.0.1:9001"))
    assert made.unavailable == ""


DRAINING = make.standing_by(pod("a", 9000))
FROZEN = make.standing_by(make.pod(REVISION, "b", status=make.frozen(), annotations={names.PORT: "9001"}))


def test_an_instance_on_standby_drains_and_is_left_out_once_it_is_frozen() -> None:
    assert backend(REVISION, [DRAINING, FROZEN]).endpoints == (Endpoint("127.0.0.1:9000", draining=True),)
    assert changed_pod_changes_backend(pod("a", 9000), DRAINING)
    assert changed_pod_changes_backend(make.standing_by(pod("b", 9001)), FROZEN)


def test_an_announced_instance_on_standby_has_been_woken() -> None:
    awake = {**FROZEN, "status": make.running()}

    made = backend(REVISION, [DRAINING, FROZEN], ["127.0.0.1:9000", "127.0.0.1:9001"])

    assert made.endpoints == (Endpoint("127.0.0.1:9000"), Endpoint("127.0.0.1:9001"))
    assert backend(REVISION, [DRAINING, awake], ["127.0.0.1:9000", "127.0.0.1:9001"]).endpoints == made.endpoints


def test_a_prepared_pod_is_an_endpoint_only_once_it_is_announced() -> None:
    made = make.prepared(make.pod(REVISION, "b", status=make.created()))

    assert backend(REVISION, [made]).endpoints == ()
    assert backend(REVISION, [made], ["10.1.0.2:8080"]).endpoints == (Endpoint("10.1.0.2:8080"),)


def test_a_failed_prepared_pod_does_not_reject_requests() -> None:
    assert unavailable([make.prepared(make.pod(REVISION, "b", status=make.crashed("broken")))]) == ""


def test_a_failed_instance_on_standby_does_not_reject_requests() -> None:
    assert unavailable([make.standing_by(make.pod(REVISION, "b", status=make.crashed("broken")))]) == ""


@pytest.mark.parametrize(("port_name", "http2"), [("h2c", True), ("http1", False), ("", False)])
def test_the_name_of_the_port_chooses_the_protocol(port_name: str, http2: bool) -> None:
    container = {"ports": [{"containerPort": 8080, **({"name": port_name} if port_name else {})}]}
    revision = make.revision(spec=make.template(container=container)["spec"])

    assert backend(revision, []).http2 is http2


@pytest.mark.parametrize(
    ("fields", "queue", "response_start", "idle", "whole"),
    [
        ({}, 300, 0, 0, 300),
        ({"timeoutSeconds": 20}, 20, 0, 0, 20),
        ({"responseStartTimeoutSeconds": 5, "idleTimeoutSeconds": 2}, 5, 5, 2, 300),
    ],
)
def test_the_time_limits_come_from_the_revision(
    fields: dict[str, Any], queue: float, response_start: float, idle: float, whole: float
) -> None:
    made = backend(make.revision(spec=make.template(**fields)["spec"]), [])

    assert made.queue_seconds == queue
    assert (made.response_start_seconds, made.idle_seconds, made.request_seconds) == (response_start, idle, whole)


@pytest.mark.parametrize(
    ("status", "waits"),
    [
        (make.ended(ends=1), True),
        (make.ended(ends=1, state="waiting"), True),
        (make.ended(ends=1, state="running"), True),
        (make.ended(ends=2), False),
        (make.ended(ends=2, state="waiting", reason="CrashLoopBackOff"), False),
        (make.ended(ends=2, state="running"), False),
        (make.ended(ends=7, ran=600), True),
        (make.ended(ends=7, ran=600, state="running"), True),
        (make.ended(ends=7, ran=599, state="running"), False),
    ],
)
def test_requests_wait_for_an_instance_that_is_restarted_at_once(status: Object, waits: bool) -> None:
    assert (unavailable([make.pod(REVISION, status=status)]) == "") is waits


INIT_FAILED = {
    "initContainerStatuses": [{"name": "migrates", **make.crashed("no database")["containerStatuses"][0]}],
    "containerStatuses": [{"name": "app", "ready": False, "state": {"waiting": {"reason": "PodInitializing"}}}],
}


@pytest.mark.parametrize(
    ("pods", "why"),
    [
        ([], ""),
        ([make.pod(REVISION)], ""),
        ([make.pod(REVISION, status=make.crashed("secret"))], "ContainerFailed"),
        ([make.pod(REVISION, status=make.crashed("secret")), make.pod(REVISION, "b", status=make.ended(ends=1))], ""),
        ([make.pod(REVISION, status=make.crashed("broken")), make.pod(REVISION, "b")], ""),
        ([make.pod(REVISION, status=make.crashed("broken")), make.pod(REVISION, "b", ready=True)], ""),
        ([make.pod(REVISION, status=make.crashed("broken"), metadata=DELETED)], ""),
        ([make.pod(REVISION, status=INIT_FAILED)], "ContainerFailed"),
    ],
)
def test_requests_are_rejected_only_if_all_instances_have_failed(pods: list[Object], why: str) -> None:
    assert unavailable(pods) == why
