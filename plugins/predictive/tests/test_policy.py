# SPDX-License-Identifier: Apache-2.0
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from predictive_loads import EPOCH_BIN, REVISION, Trial, flat, office, pod_autoscaler, series
from tidegate_predictive.fitting import FitError, fit
from tidegate_predictive.history import Series
from tidegate_predictive.model import Model
from tidegate_predictive.policy import Predictive

from tidegate.autoscaler import bounds
from tidegate.autoscaler.kpa import KpaState, decide
from tidegate.autoscaler.policies import Checking, Learning, Observed, PolicyContext
from tidegate.kit.background import Background
from tidegate.kit.clock import VirtualClock
from tidegate.model.config import Configs
from tidegate.model.objects import Key

CONFIGURATION = Key("default", "hello")
HOUR = 3600.0


def seeded(trial: Trial, load: float = 70.0) -> Trial:
    """A trial that has learnt."""
    trial.policy.learner.seed(CONFIGURATION, series(lambda time: load, 28))
    trial.policy.due(trial.now)
    return trial


def no_fit(series: Series) -> Model:
    raise AssertionError("nothing is to be fitted")


def test_the_class_is_learning_and_checking() -> None:
    policy = Predictive(PolicyContext())

    assert isinstance(policy, Learning)
    assert isinstance(policy, Checking)


@given(
    st.floats(0, 500), st.integers(0, 40), st.floats(0, 500), st.floats(0, 5), st.sampled_from(["0.5", "0.9", "0.99"])
)
def test_a_decision_is_at_least_kpas_and_within_its_rate(
    load: float, ready: int, foreseen: float, deviation: float, quantile: str
) -> None:
    trial = Trial(lambda learnt: flat(foreseen, deviation=deviation))
    spec = trial.know(quantile=quantile)
    seeded(trial)

    decision = trial.decide(spec, load, ready, ready)

    observed = Observed(load, load, ready, ready)
    kpa = decide(bounds.spec_of({"spec": {"containerConcurrency": 10}}, Configs()), observed, KpaState(), 0)
    assert decision.kpa.desired == kpa.desired
    assert kpa.desired <= decision.desired <= max(kpa.desired, kpa.most)
    assert decision.desired == max(kpa.desired, decision.forecast_wants)


def test_a_short_history_leaves_kpas_decision_and_gives_the_reason() -> None:
    trial = Trial(no_fit)
    spec = trial.know()
    trial.pass_time(3 * HOUR, 20)

    decision = trial.decide(spec, 20, 2, 2)

    assert (decision.desired, decision.forecast, decision.problem) == (3, None, None)
    assert "No forecast: there are 3.0 h of history, and 48 h are needed." in decision.reason
    assert "forecast" not in decision.numbers()


def test_two_days_of_history_start_instances_before_the_load_comes() -> None:
    trial = Trial(fit)
    spec = trial.know(margin="10m")
    for _ in range(2):
        trial.pass_time(8 * HOUR)
        trial.pass_time(10 * HOUR, 30)
        trial.pass_time(6 * HOUR)

    trial.pass_time(7 * HOUR)
    assert trial.decide(spec).desired == 0
    trial.pass_time(HOUR - 300)
    decision = trial.decide(spec)

    assert decision.kpa.desired == 0
    assert decision.desired == 5  # 30 of 7 each
    assert decision.numbers()["forecastWants"] == 5
    assert decision.numbers()["forecast"] == pytest.approx(30, rel=0.1)
    assert "Within 600 s up to 30 is foreseen at 0.9 of days like this" in decision.reason


def test_a_failed_fit_is_reported_leaves_kpas_decision_and_is_retried() -> None:
    calls = []

    def failing(learnt: Series) -> Model:
        calls.append(len(learnt))
        raise FitError("no memory")

    trial = Trial(failing)
    spec = trial.know()
    trial.pass_time(48.2 * HOUR, 20)

    decision = trial.decide(spec, 20, 3, 3)

    assert decision.desired == 3
    assert decision.problem == ("FailedForecast", "The history could not be learnt from: no memory")
    assert "the fit failed: no memory" in decision.reason
    trial.pass_time(1.1 * HOUR, 20)
    assert len(calls) == 2


def test_a_holiday_ends_the_forecast_within_hours() -> None:
    trial = Trial(lambda learnt: flat(70.0))
    spec = trial.know()
    seeded(trial)
    trial.pass_time(HOUR, 70)
    assert trial.decide(spec).forecast_wants == 10

    trial.pass_time(HOUR)
    assert 1 < trial.decide(spec).forecast_wants < 5
    trial.pass_time(2 * HOUR)

    assert trial.decide(spec).forecast_wants == 1
    trial.pass_time(10 * HOUR)
    assert trial.decide(spec).forecast_wants == 0


def test_a_new_revision_starts_with_the_whole_history_and_then_has_its_share() -> None:
    trial = Trial(lambda learnt: flat(70.0))
    trial.know()
    seeded(trial)
    trial.pass_time(HOUR, 70)

    trial.know("hello-00002")
    new = Key("default", "hello-00002")
    spec = trial.know("hello-00002")

    def wants(revision: Key) -> int:
        observed = Observed(0, 0, 0, 0)
        decision, _ = trial.policy.decide(revision, spec, observed, trial.policy.initial(0, trial.now), trial.now)
        return decision.forecast_wants

    assert wants(new) == 10
    trial.pass_time(600, 6, new)
    assert wants(new) == 1


def test_a_revision_without_a_route_has_no_forecast() -> None:
    trial = Trial(lambda learnt: flat(70.0))
    trial.know()
    seeded(trial)
    revision = {"metadata": {"namespace": "default", "name": REVISION.name}, "spec": {"reachability": "Unreachable"}}

    assert trial.decide(trial.policy.spec_of(revision, Configs())).desired == 0


def test_the_horizon_includes_the_time_that_instances_took_to_start() -> None:
    trial = Trial(lambda learnt: flat(70.0))
    spec = trial.know(margin="30s")
    seeded(trial)
    trial.decide(spec, 70, 1, 10)
    trial.now += 44

    assert trial.decide(spec, 70, 10, 10).horizon == pytest.approx(74)


def test_a_restart_keeps_the_history_and_the_current_bin(tmp_path: Path) -> None:
    first = Trial(no_fit, tmp_path)
    first.know()
    first.pass_time(2 * HOUR + 120, 20)

    second = Trial(no_fit, tmp_path, wall=first.now + 60)
    second.know()
    second.pass_time(HOUR, 40)

    learnt = second.policy.learner.history(CONFIGURATION)
    assert (learnt.begin, len(learnt)) == (EPOCH_BIN, 36)
    assert list(learnt.concurrency[:24]) == pytest.approx([20] * 24)
    assert 20 < learnt.concurrency[24] < 40
    assert list(learnt.concurrency[25:]) == pytest.approx([40] * 11)


def test_a_history_is_exact_for_any_gateways_and_any_steps() -> None:
    trial = Trial(no_fit)
    trial.know()
    trial.pass_time(0)
    trial.pass_time(450, 7)
    trial.pass_time(450, 3)

    learnt = trial.policy.learner.history(CONFIGURATION)
    assert list(learnt.concurrency) == pytest.approx([7, 5, 3])
    assert list(learnt.requests) == pytest.approx([7, 5, 3], rel=0.01)


def test_a_new_model_counts_from_the_next_tick_on() -> None:
    jobs: list[tuple[Callable[[], Any], Future[Any]]] = []

    def later(function: Callable[[], Any], /) -> Future[Any]:
        jobs.append((function, Future()))
        return jobs[-1][1]

    policy = Predictive(PolicyContext(VirtualClock(0.0), later), lambda learnt: flat(70.0))
    spec = policy.spec_of(pod_autoscaler(REVISION.name, {}), Configs())
    policy.learner.seed(CONFIGURATION, series(lambda time: 70.0, 28))
    assert policy.due(0.0) == [REVISION]
    assert policy.due(2.0) == []

    ((fitting, learnt),) = jobs
    learnt.set_result(fitting())

    assert policy.due(4.0) == [REVISION]
    decision, _ = policy.decide(REVISION, spec, Observed(0, 0, 0, 0), policy.initial(0, 4.0), 4.0)
    assert decision.forecast_wants == 10
    assert policy.due(6.0) == []


def test_a_tick_never_waits_for_a_fit_or_for_the_disk(tmp_path: Path) -> None:
    release, background = threading.Event(), Background("test")

    def slow(learnt: Series) -> Model:
        release.wait()
        return flat(70.0)

    trial = Trial(slow, tmp_path)
    trial.policy = Predictive(PolicyContext(trial.clock, background, tmp_path), slow)
    trial.policy.learner.seed(CONFIGURATION, series(office, 28))
    spec = trial.know()

    trial.pass_time(HOUR, 20)  # blocks for ever if a tick waits
    assert "its history is being read" in trial.decide(spec, 20, 3, 3).reason

    release.set()
    background(release.is_set).result(timeout=30)  # after all earlier work
    trial.pass_time(120, 20)
    assert trial.decide(spec, 20, 3, 3).forecast_wants == 10


def test_a_deleted_revision_leaves_its_load_in_the_history() -> None:
    trial = Trial(no_fit)
    trial.know()
    trial.know("hello-00002")
    trial.pass_time(100, 10)

    trial.policy.forget(REVISION)
    trial.pass_time(300)
    assert trial.policy.learner.history(CONFIGURATION).concurrency[0] == pytest.approx(10 / 3, rel=0.05)

    trial.policy.forget(Key("default", "hello-00002"))
    assert trial.policy.due(trial.now + HOUR) == []
