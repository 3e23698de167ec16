# SPDX-License-Identifier: Apache-2.0
import pytest

from tidegate.autoscaler.simulate import Moment, simulate


def moments(
    trace: list[tuple[float, float]], annotations: dict[str, str] | None = None, *, concurrency: int = 10
) -> dict[float, Moment]:
    full = {f"autoscaling.knative.dev/{name}": value for name, value in (annotations or {}).items()}
    return {moment.time: moment for moment in simulate(trace, full, container_concurrency=concurrency)}


def test_a_step_starts_instances_in_the_same_moment_and_they_take_the_load_once_they_are_up() -> None:
    told = moments([(0, 0), (10, 70), (100, 0), (300, 0)])

    assert told[9] == Moment(9, 0, 0, 0, 0, 0, in_panic=False)
    assert told[10] == Moment(10, 70, 70, 10, 10, 0, in_panic=True)
    assert told[11] == Moment(11, 70, 0, 10, 10, 10, in_panic=True)
    assert told[300].scale == 0


def test_it_goes_to_zero_a_stable_window_after_the_load_and_later_where_the_last_is_retained() -> None:
    trace = [(0.0, 5.0), (100.0, 0.0), (400.0, 0.0)]

    def gone(told: dict[float, Moment]) -> float:
        return next(time for time, moment in told.items() if time > 100 and moment.scale == 0)

    assert gone(moments(trace)) == pytest.approx(160, abs=4)
    assert gone(moments(trace, {"scale-to-zero-pod-retention-period": "1m"})) == pytest.approx(220, abs=6)


def test_bounds_hold() -> None:
    told = moments([(0, 0), (10, 700), (200, 0)], {"min-scale": "2", "max-scale": "5"})

    assert {moment.scale for moment in told.values()} == {2, 5}


@pytest.mark.parametrize("trace", [[], [(1.0, 0.0), (0.0, 0.0)]])
def test_a_trace_that_is_none_is_refused(trace: list[tuple[float, float]]) -> None:
    with pytest.raises(ValueError, match="a trace needs"):
        list(simulate(trace, {}))
