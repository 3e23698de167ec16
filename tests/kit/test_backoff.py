# SPDX-License-Identifier: Apache-2.0
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.kit.backoff import Backoff


def test_delays_double_up_to_the_limit_and_start_over_once_forgotten() -> None:
    backoff = Backoff(first=1, limit=5)

    assert [backoff.next("a") for _ in range(5)] == [1, 2, 4, 5, 5]
    assert backoff.next("b") == 1
    backoff.forget("a")
    assert backoff.next("a") == 1


@given(st.floats(0.001, 10), st.floats(10, 1000), st.integers(1, 2000))
def test_a_delay_is_never_below_the_first_nor_above_the_limit(first: float, limit: float, failures: int) -> None:
    backoff = Backoff(first, limit)

    delays = [backoff.next("a") for _ in range(failures)]

    assert all(first <= delay <= limit for delay in delays)
    assert delays == sorted(delays)


def test_invalid_limits_of_a_backoff_are_refused() -> None:
    with pytest.raises(ValueError, match="0 < first <= limit"):
        Backoff(first=2, limit=1)
