# SPDX-License-Identifier: Apache-2.0
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.autoscaler.simulation import Moment, simulate


def moments(
    trace: list[tuple[float, float]], annotations: dict[str, str] | None = None, *, concurrency: int = 10
) -> dict[float, Moment]:
    full = {f"autoscaling.knative.dev/{name}": value for name, value in (annotations or {}).items()}
    return {moment.time: moment for moment in simulate(trace, full, container_concurrency=concurrency)}


def test_a_step_starts_instances_at_once_and_they_take_the_load_when_ready() -> None:
    found = moments([(0, 0), (10, 70), (100, 0), (300, 0)])

    assert found[9] == Moment(9, 0, 0, 0, 0, 0, in_panic=False)
    assert found[10] == Moment(10, 70, 70, 10, 10, 0, in_panic=True)
    assert found[11] == Moment(11, 70, 0, 10, 10, 10, in_panic=True)
    assert found[300].scale == 0


def test_the_simulation_scales_to_zero_after_the_stable_window_and_the_retention() -> None:
    trace = [(0.0, 5.0), (100.0, 0.0), (400.0, 0.0)]

    def end_of(found: dict[float, Moment]) -> float:
        return next(time for time, moment in found.items() if time > 100 and moment.scale == 0)

    assert end_of(moments(trace)) == pytest.approx(160, abs=4)
    assert end_of(moments(trace, {"scale-to-zero-pod-retention-period": "1m"})) == pytest.approx(220, abs=6)


@pytest.mark.parametrize("before", [0.0, 200.0])
def test_arrivals_are_counted_once_even_without_an_instance(before: float) -> None:
    trace = [(0.0, before), (50.0, 0.0), (500.0, 70.0), (700.0, 70.0)]

    found = moments(trace, {"metric": "rps", "target": "20"}, concurrency=0)

    assert found[500].scale == 1
    assert {found[time].scale for time in range(502, 700)} == {5}


def test_the_simulation_keeps_the_bounds() -> None:
    found = moments([(0, 0), (10, 700), (200, 0)], {"min-scale": "2", "max-scale": "5"})

    assert {moment.scale for moment in found.values()} == {2, 5}


@pytest.mark.parametrize("trace", [[], [(1.0, 0.0), (0.0, 0.0)]])
def test_an_invalid_trace_is_refused(trace: list[tuple[float, float]]) -> None:
    with pytest.raises(ValueError, match="a trace needs"):
        list(simulate(trace, {}))


loads = st.lists(st.tuples(st.integers(1, 40), st.sampled_from([0, 0, 1, 7, 40, 300])), min_size=1, max_size=8)


@settings(max_examples=40, deadline=None)
@given(loads, st.integers(0, 3), st.integers(4, 9) | st.just(0), st.sampled_from(["linear", "weighted-exponential"]))
def test_any_load_stays_within_bounds_and_waiting_requests_have_an_instance_starting(
    changes: list[tuple[int, int]], least: int, most: int, algorithm: str
) -> None:
    trace, now = [], 0
    for seconds, load in changes:
        trace.append((float(now), float(load)))
        now += seconds
    trace += [(float(now), 0.0), (float(now + 200), 0.0)]
    annotations = {"min-scale": str(least), "max-scale": str(most), "metric-aggregation-algorithm": algorithm}

    for moment in moments(trace, annotations).values():
        assert moment.scale >= least
        assert not most or moment.scale <= most
        assert moment.scale > 0 or moment.load == 0
    assert moment.scale == least
