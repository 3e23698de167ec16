# SPDX-License-Identifier: Apache-2.0
import math
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from tidegate_predictive.history import KEPT, Bin, HistoryStore, Series

from tidegate.model.objects import Key


def test_a_bin_is_the_mean_over_the_time_in_which_tidegate_ran() -> None:
    series = Series()

    series.append(Bin(7, 300.0, 600.0, 30))
    series.append(Bin(8, 100.0, 600.0, 30))

    assert (series.begin, list(series.concurrency)) == (7, [2.0, 6.0])
    assert [round(value, 3) for value in series.requests] == [0.1, 0.3]


def test_bins_without_a_running_tidegate_are_unknown() -> None:
    series = Series()

    series.append(Bin(7, 300.0, 300.0, 300))
    series.append(Bin(10, 300.0, 300.0, 300))

    assert [math.isnan(value) for value in series.requests] == [False, True, True, False]
    assert series.known == 2


@given(st.lists(st.integers(1, 3 * KEPT), min_size=1, max_size=5))
def test_a_series_has_at_most_four_weeks_and_ends_with_the_last_bin(gaps: list[int]) -> None:
    series, time = Series(), 100
    for gap in gaps:
        time += gap
        series.append(Bin(time, 300.0, 300.0, 300))

    assert len(series) == len(series.concurrency) <= KEPT
    assert series.begin + len(series) - 1 == time
    assert series.requests[-1] == 1


def test_a_store_keeps_bins_over_a_restart_and_deletes_old_ones(tmp_path: Path) -> None:
    mine, others = Key("default", "hello"), Key("other", "hello")
    store = HistoryStore(tmp_path / "made")
    store.write([(mine, Bin(1, 300.0, 5.0, 2)), (mine, Bin(2, 60.0, 1.0, 1)), (others, Bin(2, 300.0, 9.0, 9))], 0)

    store.write([(mine, Bin(2, 120.0, 3.0, 2))], 2)

    assert HistoryStore(tmp_path / "made").read(mine) == [Bin(2, 120.0, 3.0, 2)]
