# SPDX-License-Identifier: Apache-2.0
from collections.abc import Callable

import pytest
from predictive_loads import EPOCH_BIN, office, series, waves
from tidegate_predictive import fitting
from tidegate_predictive.fitting import FitError, fit, fit_apart
from tidegate_predictive.model import BIN, DAY, WEEK, foresee


@pytest.mark.parametrize(("load", "days"), [(office, 4), (office, 21), (waves, 4), (waves, 21)])
def test_a_forecast_of_a_daily_load_is_better_than_its_last_value(load: Callable[[int], float], days: float) -> None:
    model = fit(series(load, days, noise=0.1))
    ahead = range(EPOCH_BIN, EPOCH_BIN + DAY)

    missed = sum(abs(model.concurrency.expected[time % WEEK] - load(time)) for time in ahead)
    last_missed = sum(abs(load(EPOCH_BIN - 1) - load(time)) for time in ahead)

    assert missed < 0.7 * last_missed


def test_weekdays_differ_from_two_weeks_of_history_on() -> None:
    noons = [(EPOCH_BIN + day * DAY + DAY // 2) % WEEK for day in range(7)]
    two_weeks, less = fit(series(office, 14)), fit(series(office, 13))

    truth = [office(EPOCH_BIN + day * DAY + DAY // 2) for day in range(7)]
    assert [two_weeks.concurrency.expected[noon] for noon in noons] == pytest.approx(truth, rel=0.1)
    assert (two_weeks.weekly, less.weekly) == (True, False)
    assert len({less.concurrency.expected[noon] for noon in noons}) == 1


def test_a_quantile_of_the_days_stays_below_its_forecast() -> None:
    model = fit(series(waves, 21, noise=0.3))
    after = series(waves, 3, end=EPOCH_BIN + 3 * DAY, noise=0.3)

    for quantile in (0.75, 0.95):
        below = sum(
            value <= foresee(model, [after.begin + place], per_second=False, quantile=quantile, level=1.0).load
            for place, value in enumerate(after.concurrency)
        )
        assert below / len(after) == pytest.approx(quantile, abs=0.08)


def test_nights_without_a_request_stay_without_one() -> None:
    model = fit(series(office, 14, noise=0.2))
    night = EPOCH_BIN + DAY // 12

    assert foresee(model, [night], per_second=False, quantile=0.99, level=1.0).wants(7.0) == 0


def test_a_fit_accepts_a_history_without_load_and_missing_bins() -> None:
    silent = fit(series(lambda time: 0.0, 3))
    assert max(silent.requests.expected) == 0

    partial = series(waves, 6)
    for place in range(DAY, 2 * DAY):
        partial.requests[place] = partial.concurrency[place] = float("nan")
    assert fit(partial).requests.expected[DAY // 4] == pytest.approx(35, rel=0.2)


def test_a_fit_in_a_separate_process_gives_the_same_model() -> None:
    learnt = series(waves, 3)

    apart = fit_apart(learnt)

    here = fit(learnt)
    assert list(apart.concurrency.expected) == list(here.concurrency.expected)
    assert [list(row) for row in apart.requests.deviation] == [list(row) for row in here.requests.deviation]
    assert (apart.days, apart.weekly) == (3, False)


def test_a_fit_that_fails_in_its_process_gives_the_reason_in_a_line() -> None:
    broken = series(lambda time: float("inf"), 2)

    with pytest.raises(FitError, match=r"^ValueError: .+$"):
        fit_apart(broken)


def test_bins_are_five_minutes_and_fit_into_a_day() -> None:
    assert DAY * BIN == 86400
    assert fitting.LEAST == 2 * DAY
