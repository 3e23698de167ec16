# SPDX-License-Identifier: Apache-2.0
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import golden
from tidegate.autoscaler.windows import Averages, Buckets, WeightedBuckets, Windows

WEIGHTED_TOLERANCE = 1e-9  # Go's pow differs from C's in the last digits


@pytest.mark.parametrize("path", golden.files("kpa", "buckets-*.json"), ids=lambda path: path.stem)
def test_both_kinds_of_buckets_average_as_knative_does(path: Path) -> None:
    recorded = golden.load(path)
    start = recorded["t0_unix"]
    linear = Buckets(recorded["window_seconds"], recorded["granularity_seconds"])
    weighted = WeightedBuckets(recorded["window_seconds"], recorded["granularity_seconds"])
    for number in range(-1, len(recorded["ops"])):
        if number >= 0:
            apply(linear, recorded["ops"][number], start)
            apply(weighted, recorded["ops"][number], start)
        for row in (row for row in recorded["expected"] if row["after_op"] == number):
            now = start + row["t"]
            assert (linear.average(now), linear.is_empty(now)) == (row["linear"], row["empty"])
            assert weighted.average(now) == pytest.approx(row["weighted"], rel=WEIGHTED_TOLERANCE)
            assert weighted.is_empty(now) == row["empty"]


def apply(buckets: Buckets, operation: dict[str, Any], start: float) -> None:
    if "resize_window_seconds" in operation:
        buckets.resize(operation["resize_window_seconds"])
    for value in operation.get("record", ()):
        buckets.record(start + operation["t"], value)


@pytest.mark.parametrize("path", golden.files("kpa", "collector-*.json"), ids=lambda path: path.stem)
def test_stats_recorded_each_second_give_the_windows_that_knative_gives(path: Path) -> None:
    recorded = golden.load(path)
    sizes = recorded["stable_window_seconds"], recorded["panic_window_seconds"]
    concurrency, rps = (Windows(*sizes, recorded["aggregation_algorithm"]) for _ in range(2))
    for when, row in in_order(recorded):
        now = recorded["t0_unix"] + when
        if "stat" in row:
            stat = row["stat"]
            concurrency.record(now, stat["average_concurrent_requests"] - stat["average_proxied_concurrent_requests"])
            rps.record(now, stat["request_count"] - stat["proxied_request_count"])
        elif "stable_window_seconds" in row:
            for windows in (concurrency, rps):
                windows.resize(row["stable_window_seconds"], row["panic_window_seconds"])
        else:
            assert_averages(concurrency.averages(now), row, "concurrency", scraped=recorded["scrape_target"] != "")
            assert_averages(rps.averages(now), row, "rps", scraped=recorded["scrape_target"] != "")


def in_order(recorded: dict[str, Any]) -> list[tuple[float, dict[str, Any]]]:
    rows = (
        [row for row in recorded["records"] if row["stat"]] + recorded.get("window_updates", []) + recorded["expected"]
    )
    return sorted(((row["t"], row) for row in rows), key=lambda timed: timed[0])


def assert_averages(averages: Averages | None, row: dict[str, Any], metric: str, *, scraped: bool) -> None:
    # A revision that nothing is scraped from is idle to Knative when silent; that silence is idleness is `collector`'s.
    assert (averages is None) == ("error" in row or not scraped)
    stable, panic = (averages.stable, averages.panic) if averages else (0.0, 0.0)
    assert stable == pytest.approx(row[f"stable_{metric}"], rel=WEIGHTED_TOLERANCE)
    assert panic == pytest.approx(row[f"panic_{metric}"], rel=WEIGHTED_TOLERANCE)


values = st.floats(min_value=0, max_value=1000)


@given(seconds=st.lists(values, min_size=7, max_size=20), so_far=values, passed=st.floats(min_value=0.001, max_value=1))
def test_a_linear_reading_within_a_second_is_the_exact_mean_of_the_window_that_ends_now(
    seconds: list[float], so_far: float, passed: float
) -> None:
    windows = Windows(6, 6)
    for number, value in enumerate(seconds):
        windows.record(number, value)

    read = windows.averages_within(len(seconds) + passed * 0.999, so_far)

    passed *= 0.999
    area = so_far * passed + sum(seconds[-5:]) + seconds[-6] * (1 - passed)
    assert read.stable == pytest.approx(area / 6, abs=2e-6)


@pytest.mark.parametrize("algorithm", ["linear", "weighted-exponential"])
def test_a_reading_moves_without_a_jump_from_one_second_to_the_next(algorithm: str) -> None:
    before, after = (Windows(6, 6, algorithm) for _ in range(2))
    for number in range(10):
        before.record(number, number * 7.0)
        after.record(number, number * 7.0)
    after.record(10, 3.0)

    assert before.averages_within(10.999999, 3.0).stable == pytest.approx(
        after.averages_within(11.0, 500.0).stable, 1e-4
    )


def test_the_first_reading_is_the_value_so_far() -> None:
    windows = Windows(60, 6)

    assert windows.averages_within(1000.25, 40.0) == Averages(40.0, 40.0)
    assert windows.averages(1000.25) is None
