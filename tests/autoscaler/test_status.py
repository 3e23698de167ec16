# SPDX-License-Identifier: Apache-2.0
from datetime import UTC, datetime

import pytest

from tests import golden
from tests.autoscaler.test_bounds import configs, pod_autoscaler
from tidegate.autoscaler.bounds import Bounds, bounds_of
from tidegate.autoscaler.kpa import KpaState, decide
from tidegate.autoscaler.policies import Observed, Spec
from tidegate.autoscaler.scale import Scaled
from tidegate.autoscaler.status import needed, observed_status
from tidegate.model.objects import Object

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_conditions_and_scales_are_those_of_knative() -> None:
    for case in golden.load("kpa-bounds/compute-status.json")["cases"]:
        if not case["service_name"]:
            continue  # ours has its name from the first status on
        obj, expected = pod_autoscaler(case | {"container_concurrency": 0}), case["expected"]
        active = {"type": "Active", "status": case["active"]}
        if case["active"] == "False":
            active |= {"reason": "NoTraffic", "message": "The target is not receiving traffic."}
        initialized = {"type": "ScaleTargetInitialized", "status": str(case["scale_target_initialized"] or "Unknown")}
        obj["status"] = {"conditions": [active, initialized], "desiredScale": case["previous_desired_scale"]}
        bounds = bounds_of(obj, configs(case))

        status = observed_status(obj, Scaled(case["want"], case["want"]), case["ready"], bounds, NOW)

        after = {entry["type"]: entry for entry in status["conditions"]}
        got = after["Active"]
        assert (got["status"], got.get("reason", ""), got.get("message", "")) == (
            expected["active"],
            expected["reason"],
            expected["message"],
        ), case
        assert after["ScaleTargetInitialized"]["status"] == expected["scale_target_initialized"], case
        assert status["actualScale"] == expected["actual_scale"]
        assert needed(bounds, initialized=case["scale_target_initialized"]) >= expected["active_threshold"]


def new() -> Object:
    return {"metadata": {"name": "rev", "generation": 3}}


@pytest.mark.parametrize(("ready", "ready_is"), [(0, ("Unknown", "Queued")), (1, ("True", ""))])
def test_ready_follows_active_and_the_initial_scale(ready: int, ready_is: tuple[str, str]) -> None:
    status = observed_status(new(), Scaled(1, 1), ready, Bounds(), NOW)

    after = {entry["type"]: (entry["status"], entry.get("reason", "")) for entry in status["conditions"]}
    assert after["Ready"] == ready_is
    assert (status["observedGeneration"], status["serviceName"]) == (3, "rev")


def test_a_revision_that_timed_out_keeps_its_reason_while_it_has_no_load() -> None:
    obj = new()
    for _ in range(2):
        obj = obj | {"status": observed_status(obj, Scaled(0, 0), 0, Bounds(), NOW)}

    assert {entry["type"]: entry.get("reason") for entry in obj["status"]["conditions"]}["Active"] == "TimedOut"


def test_the_status_has_the_last_five_decisions_that_changed_the_scale_newest_first() -> None:
    obj = new()
    for desired in (1, 2, 2, 3, 4, 5, 6):
        decision = decide(Spec(target=1.0), Observed(desired, desired, 1), KpaState(), 0.0)
        obj = obj | {"status": observed_status(obj, Scaled(desired, desired), 1, Bounds(), NOW, decision)}

    decisions = obj["status"]["decisions"]
    assert [entry["scale"] for entry in decisions] == [6, 5, 4, 3, 2]
    assert decisions[0] == {
        "time": "2026-01-01T00:00:00Z",
        "scale": 6,
        "desired": 6,
        "ready": 1,
        "stable": 6,
        "panic": 6,
        "target": 1.0,
        "stableWants": 6,
        "panicWants": 6,
        "least": 0,
        "most": 1000,
        "inPanic": True,
        "excessBurstCapacity": -117,
        "reason": "6 over the stable window at a target of 1 an instance wants 6.",
    }
