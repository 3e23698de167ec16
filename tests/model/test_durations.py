# SPDX-License-Identifier: Apache-2.0
import pytest
from hypothesis import given
from hypothesis import strategies as some

from tidegate.model.text import durations


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("0", 0),
        ("90s", 90_000_000_000),
        ("1h30m", 5_400_000_000_000),
        ("1.5s", 1_500_000_000),
        (".5s", 500_000_000),
        ("-2ms", -2_000_000),
        ("+1us", 1_000),
        ("1.0000000009s", 1_000_000_000),
    ],
)
def test_go_durations_are_read(text: str, nanoseconds: int) -> None:
    assert durations.parse(text) == nanoseconds


@pytest.mark.parametrize("text", ["", "5", "s", ".s", "1d", "1 s", "1s ", "-", "--1s", "1e3s", "300000000h", "٣s"])
def test_text_that_go_rejects_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        durations.parse(text)


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "0s"),
        (1, "1ns"),
        (1_500, "1.5µs"),
        (100_000_000, "100ms"),
        (6_000_000_000, "6s"),
        (3_600_000_000_000, "1h0m0s"),
    ],
)
def test_durations_are_written_in_the_format_of_go(nanoseconds: int, text: str) -> None:
    assert durations.render(nanoseconds) == text


@given(some.integers(-(2**62), 2**62))
def test_a_written_annotation_is_parsed_again(nanoseconds: int) -> None:
    assert durations.parse(durations.render(nanoseconds)) == nanoseconds
