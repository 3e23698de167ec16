# SPDX-License-Identifier: Apache-2.0
"""Recorded lives of a revision in Knative, second by second, through windows, decision, bounds and status together.

What Knative does about its activators (SKS, probes) has no counterpart here; see docs/autoscaling.md.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests import golden
from tidegate.autoscaler.bounds import bounds_of, spec_of
from tidegate.autoscaler.kpa import decide, initial
from tidegate.autoscaler.policies import Observed
from tidegate.autoscaler.scale import scale
from tidegate.autoscaler.status import observed_status, standing
from tidegate.autoscaler.windows import Windows
from tidegate.model.config import Configs
from tidegate.model.objects import Object

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LIVES = golden.files("kpa-bounds", "lifecycle-*.json")


class Step(NamedTuple):
    time: float
    pod_autoscaler: Object
    input: dict[str, Any]  # with what holds from before
    expected: dict[str, Any]
    before: dict[str, Any]  # the status expected of the step before


def steps(recorded: dict[str, Any]) -> Iterator[Step]:
    given: dict[str, Any] = {"reachability": recorded["pa"]["reachability"]}
    expected: dict[str, Any] = {}
    for step in recorded["steps"]:
        before = expected.get("status", {})
        given = {name: value for name, value in given.items() if name not in ("stats", "tick")} | step["input"]
        expected = {name: value for name, value in expected.items() if name != "scale_result"} | step["expected"]
        spec = {"containerConcurrency": recorded["pa"]["container_concurrency"], "reachability": given["reachability"]}
        metadata = {"name": "rev", "generation": 1, "annotations": recorded["pa"]["annotations"]}
        yield Step(step["t"], {"metadata": metadata, "spec": spec}, given, expected, before)


def configs_of(recorded: dict[str, Any]) -> Configs:
    return Configs.parse(
        {"config-autoscaler": recorded["autoscaler_config"], "config-deployment": recorded["deployment_config"]}
    )


@pytest.mark.parametrize("path", LIVES, ids=lambda path: path.stem)
def test_every_decision_of_a_recorded_life_is_that_of_knative(path: Path) -> None:
    recorded = golden.load(path)
    first = next(steps(recorded))
    spec = spec_of(first.pod_autoscaler, configs_of(recorded))
    windows = Windows(spec.stable_window, spec.panic_window, spec.algorithm)
    state = initial(0, 0.0)
    for step in steps(recorded):
        spec = spec_of(step.pod_autoscaler, configs_of(recorded))
        for stat in step.input.get("stats", ()):
            windows.record(step.time + 0.25, measured(stat, spec.metric))
        if not step.input.get("tick"):
            continue
        averages = windows.averages(step.time + 0.5)
        expected = step.expected["scale_result"]
        assert (averages is not None) == expected["scale_valid"], f"at {step.time}"
        if averages is not None:
            observed = Observed(averages.stable, averages.panic, step.input["ready"])
            decision = decide(spec, observed, state, step.time + 0.5)
            state = decision.state
            assert (decision.desired, decision.excess_burst_capacity, decision.in_panic) == (
                expected["desired_pod_count"],
                expected["excess_burst_capacity"],
                expected["in_panic"],
            ), f"at {step.time}"


def measured(stat: dict[str, float], metric: str) -> float:
    if metric == "rps":
        return stat["request_count"] - stat["proxied_request_count"]
    return stat["average_concurrent_requests"] - stat["average_proxied_concurrent_requests"]


@pytest.mark.parametrize("path", LIVES, ids=lambda path: path.stem)
def test_the_status_follows_the_decisions_as_in_knative(path: Path) -> None:
    recorded = golden.load(path)
    compared = 0
    for step in steps(recorded):
        before, expected = step.before, step.expected["status"]
        if step.input["sks"] is None or not before.get("service_name"):
            continue  # Knative has not made its networking yet
        compared += 1
        bounds = bounds_of(step.pod_autoscaler, configs_of(recorded))
        obj = step.pod_autoscaler | {"status": status_before(before)}
        stands = replace(standing(obj, step.time + 0.5 - before["active_since_t"]), scale=step.input["replicas"])
        scaled = scale(step.expected["decider_status"]["desired_scale"], bounds, stands)

        status = observed_status(obj, scaled, step.input["ready"], bounds, NOW)

        after = {entry["type"]: entry for entry in status["conditions"]}
        assert after["Active"]["status"] == expected["active"], f"at {step.time}"
        assert after["ScaleTargetInitialized"]["status"] == expected["scale_target_initialized"]
        assert status["actualScale"] == expected["actual_scale"]
        assert scaled.wants in (expected["desired_scale"], -1), f"at {step.time}"
    assert compared > 100


def status_before(expected: dict[str, Any]) -> Object:
    active = {"type": "Active", "status": expected["active"], "reason": expected.get("active_reason", "")}
    initialized = {"type": "ScaleTargetInitialized", "status": expected["scale_target_initialized"]}
    return {"desiredScale": expected["desired_scale"], "conditions": [active, initialized]}


def test_a_pass_over_any_revision_leaves_the_status_that_knative_leaves() -> None:
    compared = 0
    for case in golden.load("kpa-bounds/reconcile.json")["cases"]:
        recorded, expected, networking = case["pa"], case["expected"]["status"], case["sks"]
        if networking is None or not networking["private_service_name"] or not recorded["service_name"]:
            continue
        compared += 1
        active = recorded.get("active", "Unknown")
        before = {"active": active, "active_reason": "NoTraffic" if active == "False" else ""}
        before |= {
            "scale_target_initialized": str(recorded["scale_target_initialized"] or "Unknown"),
            "desired_scale": -1,
        }
        obj = {
            "metadata": {"name": "rev", "generation": 1, "annotations": recorded["annotations"]},
            "spec": {
                "containerConcurrency": recorded["container_concurrency"],
                "reachability": recorded["reachability"],
            },
            "status": status_before(before),
        }
        bounds = bounds_of(obj, Configs.parse({"config-autoscaler": case["autoscaler_config"]}))
        stands = replace(standing(obj, recorded["active_condition_age_seconds"]), scale=case["current_replicas"])
        scaled = scale(case["decider_status"]["desired_scale"], bounds, stands)

        status = observed_status(obj, scaled, case["pods"]["ready"], bounds, NOW)

        after = {entry["type"]: (entry["status"], entry.get("reason", "")) for entry in status["conditions"]}
        for kind in ("Active", "ScaleTargetInitialized"):
            known = expected["conditions"][kind]
            assert after[kind] == (known["status"], known["reason"]), case
        assert status["actualScale"] == expected["actual_scale"], case
        assert scaled.wants == expected["desired_scale"], case
    assert compared > 200
