# SPDX-License-Identifier: Apache-2.0
import pytest
from hypothesis import given
from hypothesis import strategies as st
from predictive_loads import flat
from tidegate_predictive.model import DAY, Curve, LoadLevel, Model, foresee

quantiles = st.floats(0.5, 0.99)
levels = st.floats(0, 2)


@given(quantiles, quantiles, levels)
def test_a_higher_quantile_never_lowers_the_forecast(one: float, other: float, level: float) -> None:
    deviation = [[-1.0] * DAY, [0.0] * DAY, [0.5] * DAY, [0.5] * DAY, [3.0] * DAY]
    curve = Curve([16.0] * (7 * DAY), deviation)

    assert curve.upper(5, min(one, other), level) <= curve.upper(5, max(one, other), level) + 1e-9


def test_a_quantile_between_two_fitted_ones_is_interpolated() -> None:
    curve = Curve([16.0] * (7 * DAY), [[0.0] * DAY, [1.0] * DAY, [2.0] * DAY, [3.0] * DAY, [4.0] * DAY])

    assert [curve.upper(0, quantile, 1.0) for quantile in (0.5, 0.75, 0.9, 0.95, 0.99)] == pytest.approx(
        [16, 25, 36, 49, 64]
    )
    assert curve.upper(0, 0.925, 1.0) == pytest.approx(6.5**2)


def test_a_forecast_is_the_highest_bin_until_its_horizon() -> None:
    rises = Curve([float(time) for time in range(7 * DAY)], [[0.0] * DAY] * 5)
    model = Model(rises, rises, 7.0, weekly=False)

    assert foresee(model, range(3, 6), per_second=False, quantile=0.9, level=1.0).load == pytest.approx(5)
    last_and_first = range(7 * DAY - 1, 7 * DAY + 1)
    assert foresee(model, last_and_first, per_second=False, quantile=0.9, level=1.0).load == pytest.approx(7 * DAY - 1)


@pytest.mark.parametrize(("load", "wants"), [(0.0, 0), (0.003, 0), (0.004, 1), (7.0, 1), (7.1, 2)])
def test_a_forecast_wants_an_instance_from_one_request_in_five_minutes_on(load: float, wants: int) -> None:
    forecast = foresee(flat(load), [0], per_second=False, quantile=0.5, level=1.0)

    assert forecast.wants(7.0) == wants


def test_the_level_follows_an_unusual_day_and_stays_over_a_night_without_load() -> None:
    level = LoadLevel()
    assert level.value == 1

    for _ in range(12):
        level.add(50, 100)
    assert level.value == pytest.approx(0.5, abs=0.01)

    for _ in range(100):
        level.add(0, 0)
    assert level.value == pytest.approx(0.5, abs=0.01)

    for _ in range(30):
        level.add(0, 100)
    assert level.value < 0.03

    for _ in range(60):
        level.add(1000, 100)
    assert level.value == 2
