# SPDX-License-Identifier: Apache-2.0
import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import golden
from tidegate.autoscaler.kpa import KpaState, decide, initial
from tidegate.autoscaler.policies import Observed, Spec

DIFFERENT = {"autoscaler-scale-down-delay-enable-by-update"}
"""Intended differences; see docs/autoscaling.md and the test below with the same name."""

TICK = 2.0
NO_NUMBERS = {"no_data", "not_collecting", "pod_count_error"}


@pytest.mark.parametrize("path", golden.files("kpa", "autoscaler-*.json"), ids=lambda path: path.stem)
def test_every_decision_is_the_one_that_knative_takes(path: Path) -> None:
    if path.stem in DIFFERENT:
        pytest.skip("a difference that is documented and has its own test")
    recorded = golden.load(path)
    spec = spec_of(recorded["spec"])
    state = initial(recorded["ready_pods_at_creation"], recorded["t0_unix"])
    updates = {row["t"]: row["spec"] for row in recorded.get("spec_updates", ())}
    for when, sample, expected in evaluations(recorded):
        spec = spec_of(updates[when]) if when in updates else spec
        decision = None
        if sample.get("error") not in NO_NUMBERS:
            ready = 0 if sample.get("error") == "pod_count_not_found" else sample["ready_pods"]
            decision = decide(
                spec, Observed(sample["stable"], sample["panic"], ready), state, recorded["t0_unix"] + when
            )
            state = decision.state
        if expected is None:
            continue
        assert (state.panic_since is not None, state.panic_scale) == (expected["in_panic"], expected["max_panic_pods"])
        assert (decision is not None) == expected["scale_valid"]
        if decision is not None:
            assert decision.desired == expected["desired_pod_count"], f"at {when}"
            assert decision.excess_burst_capacity == expected["excess_burst_capacity"]


def spec_of(recorded: dict[str, Any]) -> Spec:
    return Spec(
        metric=recorded["scaling_metric"],
        target=recorded["target_value"],
        total=recorded["total_value"],
        stable_window=recorded["stable_window_seconds"],
        panic_threshold=recorded["panic_threshold"],
        max_scale_up_rate=recorded["max_scale_up_rate"],
        max_scale_down_rate=recorded["max_scale_down_rate"],
        scale_down_delay=recorded["scale_down_delay_seconds"],
        activation_scale=recorded["activation_scale"],
        target_burst_capacity=recorded["target_burst_capacity"],
        reachable=recorded["reachable"],
    )


def evaluations(recorded: dict[str, Any]) -> Iterator[tuple[float, dict[str, Any], dict[str, Any] | None]]:
    """When to decide, on which sample, and the expected result, if it is recorded."""
    if recorded["sample_mode"] == "each":
        for sample, row in zip(recorded["samples"], recorded["expected"], strict=True):
            yield sample["t"], sample, row
        return
    expected = {row["t"]: row for row in recorded["expected"]}
    samples = {sample["t"]: sample for sample in recorded["samples"]}
    held = samples[0]
    for when in range(0, recorded["duration_seconds"] + 1, recorded["tick_seconds"]):
        held = samples.get(when, held)
        yield when, held, expected.get(when)


@pytest.mark.parametrize("path", golden.files("kpa", "multiscaler-*.json"), ids=lambda path: path.stem)
def test_decisions_every_two_seconds_and_at_zero_give_the_status_of_knatives_loop(path: Path) -> None:
    recorded = golden.load(path)
    spec, state = spec_of(recorded["spec"]), initial(recorded["ready_pods_at_creation"], 0.0)
    scale = recorded["initial_status"]["desired_scale"]
    samples = {int(sample["t"] + 0.5): sample for sample in recorded["samples"]}
    evaluated = 0
    for row in recorded["expected"]:
        now = row["t"]
        sample = samples[now]
        poked = scale == 0 and sample.get("poke_average_concurrency", 0) > 0
        for moment in [sample["t"]] * poked + [now] * (now % recorded["tick_seconds"] == 0):
            evaluated += 1
            if sample.get("error") not in NO_NUMBERS:
                observed = Observed(sample["stable"], sample["panic"], sample["ready_pods"])
                decision = decide(spec, observed, state, moment)
                scale, state = decision.desired, decision.state
                assert decision.excess_burst_capacity == row["excess_burst_capacity"]
        assert (scale, evaluated) == (row["desired_scale"], row["evaluations_so_far"]), f"at {now}"


specs = st.builds(
    Spec,
    target=st.floats(min_value=0.01, max_value=100),
    panic_threshold=st.floats(min_value=1.1, max_value=10),
    max_scale_up_rate=st.floats(min_value=1.01, max_value=1000),
    max_scale_down_rate=st.floats(min_value=1.01, max_value=1000),
    scale_down_delay=st.sampled_from([0.0, 15.0, 300.0]),
    activation_scale=st.sampled_from([0, 2, 5]),
    reachable=st.booleans(),
)
loads = st.floats(min_value=0, max_value=1e5)
observations = st.builds(Observed, stable=loads, panic=loads, ready=st.integers(min_value=0, max_value=1000))
times = st.floats(min_value=0, max_value=1e6)


@given(specs, observations, times)
def test_a_first_decision_stays_within_the_rates(spec: Spec, observed: Observed, now: float) -> None:
    decision = decide(spec, observed, KpaState(), now)

    assert decision.desired >= decision.least
    assert decision.desired <= max(decision.most, spec.activation_scale)


@given(specs, st.lists(observations, min_size=1, max_size=20))
def test_a_decision_never_falls_below_the_max_scale_down_rate(spec: Spec, series: list[Observed]) -> None:
    state = KpaState()
    for tick, observed in enumerate(series):
        decision = decide(spec, observed, state, TICK * tick)
        state = decision.state
        assert decision.desired >= decision.least


@given(specs, st.lists(observations, min_size=1, max_size=30))
def test_panic_never_shrinks(spec: Spec, series: list[Observed]) -> None:
    """The part that a scale-down delay adds may end meanwhile."""
    state = KpaState()
    for tick, observed in enumerate(series):
        decision = decide(spec, observed, state, TICK * tick)
        if state.panic_since is not None and decision.in_panic:
            assert decision.desired >= decision.state.panic_scale >= state.panic_scale
        state = decision.state


@settings(max_examples=50)
@given(specs, st.floats(min_value=0, max_value=100), st.integers(min_value=0, max_value=50))
def test_a_number_that_fell_under_a_constant_load_never_rises_again(spec: Spec, load: float, ready: int) -> None:
    state, numbers = initial(ready, 0.0), [ready]
    for tick in range(150):
        decision = decide(spec, Observed(load, load, ready), state, TICK * tick)
        state, ready = decision.state, decision.desired
        numbers.append(ready)

    steps = list(pairwise(numbers[1:]))
    fell = next((number for number, (before, after) in enumerate(steps) if after < before), len(steps))
    assert all(after <= before for before, after in steps[fell:])


@settings(max_examples=50)
@given(specs, st.floats(min_value=0, max_value=100), st.integers(min_value=0, max_value=50))
def test_a_constant_load_settles_on_its_number(spec: Spec, load: float, ready: int) -> None:
    """This may take long: a step down may be one instance, and waits for the delay. It has settled when nothing has
    changed for longer than panic and then the delay can hold a number."""
    holds = math.ceil((spec.stable_window + spec.scale_down_delay) / TICK) + 2
    state, unchanged, now = initial(ready, 0.0), 0, 0.0
    while unchanged <= holds:
        decision = decide(spec, Observed(load, load, ready), state, now)
        unchanged = unchanged + 1 if decision.desired == ready else 0
        state, ready, now = decision.state, decision.desired, now + TICK

    wanted = math.ceil(load / spec.target)
    assert ready == (max(wanted, spec.activation_scale) if wanted else 0)


@given(specs, observations, times, loads, loads)
def test_more_load_never_wants_fewer_instances(
    spec: Spec, observed: Observed, now: float, stable: float, panic: float
) -> None:
    more = replace(observed, stable=observed.stable + stable, panic=observed.panic + panic)

    assert decide(spec, more, KpaState(), now).desired >= decide(spec, observed, KpaState(), now).desired


def test_a_scale_down_delay_that_is_set_later_holds_from_that_time_on() -> None:
    """Knative creates the delay's window only with the scaler."""
    spec, state = Spec(target=7.0), KpaState()
    state = decide(spec, Observed(63.0, 63.0, 9), state, 0.0).state
    spec = replace(spec, scale_down_delay=30.0)
    state = decide(spec, Observed(63.0, 63.0, 9), state, 2.0).state

    held = decide(spec, Observed(14.0, 14.0, 9), state, 20.0)
    ended = decide(spec, Observed(14.0, 14.0, 9), held.state, 34.0)

    assert (held.desired, ended.desired) == (9, 4)
    assert held.reason.endswith("held at 9: scale-down-delay.")


@pytest.mark.parametrize(
    ("spec", "observed", "state", "reason"),
    [
        (
            Spec(target=70.0),
            Observed(100.0, 90.0, 1),
            KpaState(),
            "100 over the stable window at a target of 70 an instance wants 2.",
        ),
        (
            Spec(target=7.0),
            Observed(7.0, 70.0, 1),
            KpaState(),
            "70 over the panic window at a target of 7 an instance wants 10.",
        ),
        (
            Spec(target=7.0, max_scale_up_rate=2.0),
            Observed(70.0, 70.0, 2),
            KpaState(),
            "70 over the stable window at a target of 7 an instance wants 10, made 4 by max-scale-up-rate.",
        ),
        (
            Spec(target=7.0),
            Observed(7.0, 7.0, 10),
            KpaState(),
            "7 over the stable window at a target of 7 an instance wants 1, made 5 by max-scale-down-rate.",
        ),
        (
            Spec(target=7.0, activation_scale=3),
            Observed(1.0, 1.0, 0),
            KpaState(),
            "1 over the stable window at a target of 7 an instance wants 1, made 3 by activation-scale.",
        ),
        (
            Spec(target=7.0),
            Observed(7.0, 7.0, 9),
            KpaState(panic_since=0.0, panic_scale=9),
            "7 over the stable window at a target of 7 an instance wants 1, held at 9: panic never shrinks.",
        ),
    ],
)
def test_the_reason_of_a_decision_is_one_sentence(spec: Spec, observed: Observed, state: KpaState, reason: str) -> None:
    assert decide(spec, observed, state, 10.0).reason == reason
