# SPDX-License-Identifier: Apache-2.0
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import golden
from tests.autoscaler.test_bounds import pod_autoscaler
from tidegate.autoscaler.bounds import Bounds, bounds_of
from tidegate.autoscaler.scale import Scaled, Standing, scale
from tidegate.model.config import Configs


def test_bounds_limit_a_scale_as_in_knative() -> None:
    for case in golden.load("kpa-bounds/apply-bounds.json")["cases"]:
        assert Bounds(least=case["min"], most=case["max"]).clamp(case["x"]) == case["out"], case


def test_initial_scale_bounds_and_scale_to_zero_apply_as_in_knative() -> None:
    """The cases with Knative's activator in the path; our gate is always in the path."""
    compared = 0
    for case in golden.load("kpa-bounds/scale.json")["cases"]:
        bounds, standing = given_in(case)
        if standing.active == "False" and not is_in_path(case):
            continue
        compared += 1
        got, expected = scale(case["desired_scale"], bounds, standing), case["expected"]
        assert got.wants == expected["want"], case
        if got.wants == 0 and standing.active != "Unknown":
            continue  # the retention of the last instance differs; see below
        stays = standing.scale if expected["applied_replicas"] is None else expected["applied_replicas"]
        assert got.scale == stays, case
        assert (got.check_after is not None) == (expected["enqueue_after_seconds"] != []), case
        if got.check_after is not None and standing.active == "True":
            assert got.check_after == expected["enqueue_after_seconds"][0], case
    assert compared > 900


def test_an_inactive_revision_without_load_is_scaled_to_zero_when_knative_does_it() -> None:
    compared = 0
    for case in golden.load("kpa-bounds/scale.json")["cases"]:
        bounds, standing = given_in(case)
        expected = case["expected"]
        if standing.active == "False" and is_in_path(case) and expected["want"] == 0:
            compared += 1
            kept = expected["enqueue_after_seconds"] != [] and standing.scale > 0
            assert scale(case["desired_scale"], bounds, standing).scale == (1 if kept else 0), case
    assert compared > 80


def given_in(case: dict[str, Any]) -> tuple[Bounds, Standing]:
    recorded = case["pa"]
    maps = {"config-autoscaler": case["autoscaler_config"], "config-deployment": case["deployment_config"]}
    standing = Standing(
        active=recorded["active"],
        seconds=recorded["active_condition_age_seconds"],
        initialized=recorded["scale_target_initialized"],
        scale=1 if case["current_replicas"] is None else case["current_replicas"],
    )
    return bounds_of(pod_autoscaler(recorded), Configs.parse(maps)), standing


def is_in_path(case: dict[str, Any]) -> bool:
    grace = Configs.parse({"config-autoscaler": case["autoscaler_config"]}).autoscaler.scale_to_zero_grace_period
    return bool(case["sks"]["proxy_for_seconds"] >= grace and case["activator_probe"] == "true")


@pytest.mark.parametrize(
    ("bounds", "standing", "scaled"),
    [
        (Bounds(), Standing("True", 60.0, True, 3), Scaled(0, 0)),
        (Bounds(retention=50.0), Standing("True", 60.0, True, 3), Scaled(1, 0, 50.0)),
        (Bounds(retention=50.0), Standing("False", 20.0, True, 1), Scaled(1, 0, 30.0)),
        (Bounds(retention=50.0), Standing("False", 50.0, True, 1), Scaled(0, 0)),
        (Bounds(retention=50.0, reachable=False), Standing("True", 60.0, True, 3), Scaled(0, 0)),
        (Bounds(retention=50.0), Standing("False", 20.0, True, 0), Scaled(0, 0)),
    ],
)
def test_the_last_instance_ends_at_once_when_the_revision_is_idle_or_after_its_retention(
    bounds: Bounds, standing: Standing, scaled: Scaled
) -> None:
    assert scale(0, bounds, standing) == scaled


def test_the_grace_period_delays_nothing_since_the_gate_is_always_in_the_path() -> None:
    configs = Configs.parse({"config-autoscaler": {"scale-to-zero-grace-period": "10m"}})

    assert scale(0, bounds_of({"metadata": {}}, configs), Standing("True", 60.0, True, 1)) == Scaled(0, 0)


def test_a_revision_that_never_becomes_active_is_checked_again_after_its_deadline() -> None:
    bounds = Bounds(progress_deadline=600.0)

    assert scale(0, bounds, Standing("Unknown", 100.0, False, 1)) == Scaled(1, -1, 530.001)
    assert scale(0, bounds, Standing("Unknown", 630.1, False, 1)) == Scaled(0, 0)


@pytest.mark.parametrize(
    ("bounds", "starts"),
    [
        (Bounds(), 1),
        (Bounds(initial=3), 3),
        (Bounds(initial=3, least=5), 5),
        (Bounds(least=2), 2),
        (Bounds(initial=0), 0),
    ],
)
def test_a_new_revision_starts_with_its_initial_scale(bounds: Bounds, starts: int) -> None:
    assert scale(-1, bounds, Standing()).scale == starts


wholes = st.integers(min_value=0, max_value=50)


@given(
    desired=st.integers(min_value=-1, max_value=100),
    bounds=st.builds(Bounds, least=wholes, most=st.just(0) | st.integers(50, 99), initial=wholes, retention=wholes),
    standing=st.builds(
        Standing,
        active=st.sampled_from(["True", "False", "Unknown"]),
        seconds=st.floats(min_value=0, max_value=1000),
        initialized=st.booleans(),
        scale=wholes,
    ),
)
def test_a_scale_is_never_outside_its_bounds(desired: int, bounds: Bounds, standing: Standing) -> None:
    got = scale(desired, bounds, standing)

    if got.wants > 0 or (bounds.least > 0 and desired >= 0):
        assert got.scale >= bounds.least
        assert not bounds.most or got.scale <= bounds.most
