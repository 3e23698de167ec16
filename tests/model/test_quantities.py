# SPDX-License-Identifier: Apache-2.0
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from tidegate.model.text import quantities


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("1000m", "1"),
        ("0.5", "500m"),
        ("1.5Gi", "1536Mi"),
        ("0.5Mi", "512Ki"),
        ("512", "512"),
        ("1024Mi", "1Gi"),
        ("1000", "1k"),
        ("1e3", "1e3"),
        ("12E", "12E"),
        ("0", "0"),
        ("0Mi", "0"),
        ("-1", "-1"),
        (2, "2"),
        (0.25, "250m"),
        ("0.1n", "1n"),
        ("1e308", "1000e18"),
        (1e308, "1000e18"),
        ("-1e999", "-1000e18"),
        ("9" * 40, "1000E"),
        ("1000000Ei", "953674316406250Mi"),
    ],
)
def test_a_quantity_is_stored_in_its_canonical_form(written: Any, stored: str) -> None:
    assert str(quantities.parse(written)) == stored


@pytest.mark.parametrize("written", ["", "much", "1 Gi", "1Zi", "1.2.3", "--1", None, True, [], {}, "1m5", "e3"])
def test_text_that_is_not_a_quantity_is_rejected(written: Any) -> None:
    with pytest.raises(ValueError, match="quantit"):
        quantities.parse(written)


@given(some.integers(-(10**15), 10**15), some.sampled_from(["", "m", "Ki", "Mi", "k", "G", "n"]))
def test_the_canonical_form_has_the_same_amount(count: int, suffix: str) -> None:
    quantity = quantities.parse(f"{count}{suffix}")

    assert quantities.parse(str(quantity)).amount == quantity.amount
