# SPDX-License-Identifier: Apache-2.0
"""`tidegate explain`: the revisions that a name selects, and the output for each."""

import json

import pytest

from tests.cli.world import World, revision, service
from tidegate.cli.explanation import moves, numbers, parts_of
from tidegate.model import kinds
from tidegate.model.objects import Object

GROWN = {
    "time": "2026-11-25T16:00:10Z",
    "scale": 10,
    "desired": 10,
    "ready": 1,
    "stable": 70.0,
    "panic": 69.3333,
    "target": 7.0,
    "stableWants": 10,
    "panicWants": 10,
    "least": 0,
    "most": 1000,
    "inPanic": True,
    "excessBurstCapacity": -271.0,
    "reason": "70 over the stable window at a target of 7 an instance wants 10.",
}
BEGUN = {"time": "2026-11-25T16:00:00Z", "scale": 1, "reason": "The initial scale."}
QUEUED = {
    "type": "Active",
    "status": "Unknown",
    "reason": "Queued",
    "message": "Requests wait.",
    "lastTransitionTime": "2026-11-25T16:00:10Z",
}


def pod_autoscaler(name: str, *decisions: Object, **annotations: str) -> Object:
    return {
        "apiVersion": "autoscaling.internal.knative.dev/v1alpha1",
        "kind": "PodAutoscaler",
        "metadata": {
            "name": name,
            "namespace": "default",
            "annotations": {
                f"autoscaling.knative.dev/{key.replace('_', '-')}": text for key, text in annotations.items()
            },
        },
        "spec": {
            "containerConcurrency": 10,
            "protocolType": "http1",
            "scaleTargetRef": {"apiVersion": "serving.knative.dev/v1", "kind": "Revision", "name": name},
        },
        "status": {
            "desiredScale": 10,
            "actualScale": 1,
            "conditions": [QUEUED],
            **({"decisions": list(decisions)} if decisions else {}),
        },
    }


def given_service(tidegate: World, name: str, *traffic: Object, latest: str) -> None:
    status = {"traffic": list(traffic), "latestCreatedRevisionName": latest}
    tidegate.given(kinds.SERVICE, {**service(name), "status": status})


def test_a_revision_is_shown_with_its_state_and_its_decisions_newest_first(tidegate: World) -> None:
    tidegate.given(kinds.REVISION, revision("grown", "grown-00001"))
    tidegate.given(kinds.POD_AUTOSCALER, pod_autoscaler("grown-00001", GROWN, BEGUN, max_scale="20"))

    lines = [line.split(maxsplit=1) for line in tidegate.ok("explain", "grown-00001").splitlines()]
    texts = [" ".join(line).rstrip() for line in lines]

    assert texts[:5] == [
        "grown-00001",
        "class kpa.autoscaling.knative.dev",
        "instances 10 wanted, 1 ready",
        "bounds at least 0, at most 20",
        "active Unknown since 2026-11-25T16:00:10Z (Queued: Requests wait.)",
    ]
    assert [text.split(maxsplit=4) for text in texts[7:]] == [
        ["2026-11-25T16:00:10Z", "1", "→", "10", GROWN["reason"]],
        ["1", "ready,", "stable", "window", numbers(GROWN).removeprefix("1 ready, stable window ")],
        ["2026-11-25T16:00:00Z", "→", "1", "The", "initial scale."],
    ]


def test_a_failure_to_measure_is_shown_while_it_lasts(tidegate: World) -> None:
    unable = {"type": "ScalingActive", "status": "False", "reason": "FailedGetPodsMetric", "message": "no report"}
    for name, status in (("blind", "False"), ("sees", "True")):
        obj = pod_autoscaler(f"{name}-00001", BEGUN)
        obj["status"]["conditions"] = [QUEUED, unable | {"status": status}]
        tidegate.given(kinds.REVISION, revision(name, f"{name}-00001"))
        tidegate.given(kinds.POD_AUTOSCALER, obj)

    lines = [line.strip() for line in tidegate.ok("explain", "blind-00001").splitlines()]

    assert "scaling     False (FailedGetPodsMetric: no report)" in lines
    assert "no report" not in tidegate.ok("explain", "sees-00001")


def test_a_service_is_shown_by_its_revisions_with_traffic_and_the_latest(tidegate: World) -> None:
    to = [{"revisionName": "web-00001", "percent": 90}, {"revisionName": "web-00002", "percent": 10, "tag": "next"}]
    given_service(tidegate, "web", *to, latest="web-00003")
    tidegate.given(kinds.POD_AUTOSCALER, pod_autoscaler("web-00001", BEGUN))
    tidegate.given(kinds.POD_AUTOSCALER, pod_autoscaler("web-00002"))

    blocks = [line for line in tidegate.ok("explain", "web").splitlines() if line and not line.startswith("   ")]

    assert [line.strip() for line in blocks if line.startswith(("web", "  no", "  it"))] == [
        "web-00001  90% of web",
        "web-00002  10% of web, tag next",
        "no decision has changed its scale yet",
        "web-00003  0% of web",
        "it has no autoscaler yet",
    ]


def test_the_json_has_the_objects_of_the_api(tidegate: World) -> None:
    given_service(tidegate, "raw", {"revisionName": "raw-00001", "percent": 100}, latest="raw-00001")
    tidegate.given(kinds.POD_AUTOSCALER, pod_autoscaler("raw-00001", GROWN))

    shown = json.loads(tidegate.ok("explain", "raw", "-o", "json"))

    assert shown == {
        "apiVersion": "v1",
        "kind": "List",
        "items": [tidegate.get(kinds.POD_AUTOSCALER, "raw-00001")],
    }


def test_bounds_come_from_the_config_map_unless_the_revision_has_its_own(tidegate: World) -> None:
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "config-autoscaler"}}
    named = {**config, "metadata": {"name": "config-autoscaler", "namespace": "knative-serving"}}
    tidegate.given(kinds.CONFIG_MAP, {**named, "data": {"min-scale": "2", "max-scale": "9"}})
    tidegate.given(kinds.REVISION, revision("bound", "bound-00001"))
    tidegate.given(kinds.POD_AUTOSCALER, pod_autoscaler("bound-00001"))

    assert "at least 2, at most 9" in tidegate.ok("explain", "bound-00001")


def test_a_missing_service_is_one_line(tidegate: World) -> None:
    tidegate.given(kinds.SERVICE, service("empty"))

    message = "there is neither a service nor a revision absent in the namespace default"
    assert tidegate.fails("explain", "absent") == message
    assert tidegate.fails("explain", "empty") == "empty has no revision yet"


def test_shares_and_tags_of_one_revision_are_shown_together() -> None:
    traffic = [{"revisionName": "a", "percent": 40, "tag": "x"}, {"revisionName": "a", "percent": 60, "tag": "y"}]
    obj = {**service("hello"), "status": {"traffic": traffic, "latestCreatedRevisionName": "a"}}

    assert parts_of(obj) == {"a": "100% of hello, tag x, tag y"}


@pytest.mark.parametrize(
    ("scales", "lines"),
    [([], []), ([3], ["→ 3"]), ([0, 1, 10], ["1 → 0", "10 → 1", "→ 10"])],
)
def test_each_decision_starts_from_the_scale_of_the_previous_one(scales: list[int], lines: list[str]) -> None:
    assert list(moves([{"scale": scale} for scale in scales])) == lines


@pytest.mark.parametrize(
    ("decision", "line"),
    [
        (BEGUN, ""),
        (
            GROWN,
            "1 ready, stable window 70 wants 10, panic window 69.333 wants 10, target 7, rates allow 0 to 1000,"
            " burst capacity left -271, in panic",
        ),
        ({"ready": 2, "metric": "cpu", "usage": 150.5, "target": 80}, "2 ready, target 80, metric cpu, usage 150.5"),
        ({"forecast": 3.25, "stable": 1, "reason": "so"}, "forecast 3.25, stable 1"),
    ],
)
def test_the_numbers_of_a_decision_of_any_class_are_shown_in_a_line(decision: Object, line: str) -> None:
    assert numbers(decision) == line
