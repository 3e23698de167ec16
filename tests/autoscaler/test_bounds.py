# SPDX-License-Identifier: Apache-2.0
from typing import Any

import pytest

from tests import golden
from tidegate.autoscaler.bounds import bounds_of, spec_of
from tidegate.model.config import Configs
from tidegate.model.objects import Object


def pod_autoscaler(case: dict[str, Any]) -> Object:
    spec: Object = {"containerConcurrency": case.get("container_concurrency", 0)}
    if case["reachability"]:
        spec["reachability"] = case["reachability"]
    return {"metadata": {"name": "rev", "annotations": case["annotations"]}, "spec": spec}


def configs(case: dict[str, Any]) -> Configs:
    return Configs.parse({"config-autoscaler": case["autoscaler_config"]})


def test_a_spec_comes_from_annotations_concurrency_and_config_as_in_knative() -> None:
    for case in golden.load("kpa-bounds/decider.json")["cases"]:
        spec = spec_of(pod_autoscaler(case), configs(case))
        expected, metric = case["expected"]["decider_spec"], case["expected"]["metric"]
        assert {
            "max_scale_up_rate": spec.max_scale_up_rate,
            "max_scale_down_rate": spec.max_scale_down_rate,
            "scaling_metric": spec.metric,
            "target_value": spec.target,
            "total_value": spec.total,
            "target_burst_capacity": spec.target_burst_capacity,
            "panic_threshold": spec.panic_threshold,
            "stable_window_seconds": spec.stable_window,
            "scale_down_delay_seconds": spec.scale_down_delay,
            "reachable": spec.reachable,
            "activation_scale": spec.activation_scale,
            "initial_scale": bounds_of(pod_autoscaler(case), configs(case)).initial,
        } == {name: value for name, value in expected.items() if name != "activator_capacity"}, case
        assert (spec.stable_window, spec.panic_window, spec.algorithm) == (
            metric["stable_window_seconds"],
            metric["panic_window_seconds"],
            metric["aggregation_algorithm"],
        ), case


def test_bounds_come_from_annotations_config_and_reachability_as_in_knative() -> None:
    for case in golden.load("kpa-bounds/scale-bounds.json")["cases"]:
        bounds, expected = bounds_of(pod_autoscaler(case), configs(case)), case["expected"]
        activation = spec_of(pod_autoscaler(case), configs(case)).activation_scale
        assert (bounds.least, bounds.most, bounds.initial, activation) == (
            expected["min"],
            expected["max"],
            expected["initial_scale"],
            expected["activation_scale"],
        ), case


@pytest.mark.parametrize(
    ("annotation", "value", "seconds"),
    [
        ("autoscaling.knative.dev/scale-to-zero-pod-retention-period", "1m30s", 90.0),
        ("autoscaling.knative.dev/scaleToZeroPodRetentionPeriod", "2s", 2.0),
        ("autoscaling.knative.dev/scale-to-zero-pod-retention-period", "soon", 7.0),
    ],
)
def test_the_retention_of_the_last_instance_is_the_revisions_or_the_configs(
    annotation: str, value: str, seconds: float
) -> None:
    configs = Configs.parse({"config-autoscaler": {"scale-to-zero-pod-retention-period": "7s"}})

    assert bounds_of({"metadata": {"annotations": {annotation: value}}}, configs).retention == seconds


def test_the_progress_deadline_is_the_revisions_or_that_of_config_deployment() -> None:
    own = {"metadata": {"annotations": {"serving.knative.dev/progress-deadline": "60s"}}}

    assert bounds_of(own, Configs()).progress_deadline == 60.0
    assert bounds_of({"metadata": {}}, Configs()).progress_deadline == 600.0
