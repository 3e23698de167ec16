# SPDX-License-Identifier: Apache-2.0
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.autoscaler.meter import Meter
from tidegate.autoscaler.policies import Spec
from tidegate.autoscaler.windows import Averages
from tidegate.model.load import LoadReport
from tidegate.model.objects import Key


def report(
    time: float, level: int, seconds: float = 0.0, *, gateway: str = "one", queued: int = 0, requests: int = 0
) -> LoadReport:
    return LoadReport(
        revision=Key("default", "rev"),
        gateway=gateway,
        time=time,
        in_flight=level - queued,
        queued=queued,
        requests=requests,
        concurrency_seconds=seconds,
        queue_seconds=0.0,
        responses={},
        refused={},
        hosts={},
    )


def test_the_first_report_counts_the_current_requests() -> None:
    meter = Meter(Spec(), 1000.7)
    meter.add(report(1000.7, 70))

    assert meter.averages(1000.7, 1000.7) == Averages(70.0, 70.0)


@given(
    levels=st.lists(st.integers(min_value=0, max_value=500), min_size=1, max_size=80),
    start=st.floats(min_value=100, max_value=101),
)
def test_a_young_window_is_the_exact_mean_since_its_first_request(levels: list[int], start: float) -> None:
    meter = Meter(Spec(stable_window=60, panic_window=6), start)
    seconds, now = 0.0, start
    meter.add(report(now, levels[0]))
    for number, level in enumerate(levels):
        seconds += level * 0.1
        now = start + (number + 1) * 0.1
        following = levels[number + 1] if number + 1 < len(levels) else 0
        meter.add(report(now, following, seconds))

    whole = start + len(levels) // 10
    if len(levels) % 10 == 0:
        assert meter.averages(now, now).stable == pytest.approx(seconds / (now - start), abs=1e-3)
    assert meter.averages(max(now, whole), now).stable <= max(levels) + 1e-6


def test_a_full_window_is_exact_for_any_times_of_reports() -> None:
    meter = Meter(Spec(stable_window=6, panic_window=1), 50.3)
    meter.add(report(50.3, 10))
    meter.add(report(56.55, 20, 62.5))  # one silent gap
    meter.add(report(58.3, 0, 97.5))

    # of the six seconds that end at 58.3: 4.25 at 10, 1.75 at 20
    assert meter.averages(58.3, 58.3).stable == pytest.approx((4.25 * 10 + 1.75 * 20) / 6, abs=1e-6)


def test_requests_count_until_the_next_report_corrects_them() -> None:
    meter = Meter(Spec(stable_window=6, panic_window=6), 0.0)
    meter.add(report(0.0, 10))
    assert meter.averages(2.0, 0.0).stable == 10.0

    meter.add(report(2.0, 0, 12.0))

    assert meter.averages(3.0, 2.0).stable == pytest.approx(4.0)


def test_a_silent_gate_without_requests_has_no_load() -> None:
    meter = Meter(Spec(stable_window=6, panic_window=6), 0.0)
    meter.add(report(0.0, 12))
    meter.add(report(3.0, 0, 36.0))

    assert meter.averages(6.0, 3.0).stable == pytest.approx(6.0)
    assert meter.averages(9.0, 3.0).stable == pytest.approx(0.0)


def test_gateways_add_up() -> None:
    meter = Meter(Spec(stable_window=6, panic_window=6), 0.0)
    for gateway, level in (("one", 3), ("two", 4)):
        meter.add(report(0.0, level, gateway=gateway))
        meter.add(report(0.95, level, level * 0.95, gateway=gateway))
        meter.add(report(2.05, level, level * 2.05, gateway=gateway))

    assert meter.averages(2.05, 2.05) == Averages(7.0, 7.0)
    assert meter.level == 7


def test_a_gate_that_is_silent_while_others_report_counts_as_ended_after_five_seconds() -> None:
    meter = Meter(Spec(stable_window=6, panic_window=6), 0.0)
    meter.add(report(0.0, 10))

    assert meter.averages(4.0, 4.0).stable == 10.0
    assert meter.averages(20.0, 20.0).stable == 0.0
    assert meter.level == 0


def test_the_counts_of_a_gateway_before_its_first_report_are_ignored() -> None:
    meter = Meter(Spec(stable_window=6, panic_window=6), 0.0)
    meter.add(report(0.0, 2, 5000.0))

    assert meter.averages(3.0, 0.0).stable == 2.0


def test_a_window_after_a_rest_is_full_of_zeros() -> None:
    meter = Meter(Spec(stable_window=60, panic_window=6), 1000.0, idle_before=True)
    meter.add(report(1000.0, 0))
    meter.add(report(1001.0, 60, 60.0))

    averages = meter.averages(1001.0, 1001.0)
    assert averages.stable == pytest.approx(1.0)
    assert averages.panic == pytest.approx(10.0)


def test_the_microseconds_of_the_counters_do_not_hide_a_whole_number() -> None:
    meter = Meter(Spec(), 0.0)
    meter.add(report(0.0, 70))
    meter.add(report(0.1, 70, 7.000001))

    assert meter.averages(0.1, 0.1).panic == 70.0


def test_arrivals_are_counted_by_the_second_including_the_first_waiting_ones() -> None:
    meter = Meter(Spec(metric="rps", stable_window=6, panic_window=6), 0.0)
    meter.add(report(0.0, 40, requests=5040, queued=40))
    assert meter.averages(0.01, 0.0).stable == 40.0

    meter.add(report(1.0, 0, requests=5100))
    meter.add(report(2.0, 0, requests=5150))

    assert meter.averages(2.0, 2.0).stable == pytest.approx(75.0)
