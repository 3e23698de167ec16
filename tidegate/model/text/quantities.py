# SPDX-License-Identifier: Apache-2.0
"""Amounts of cpu, memory and storage in Kubernetes' notation ("500m", "1Gi", 2).

In: text. Out: an exact number, and its canonical form, which Kubernetes stores. Rule: k8s.io/apimachinery
resource.Quantity: a number and a suffix, rounded up to a nano, written with the largest suffix of its family (binary,
decimal, exponent) that needs no fraction. An amount above 1000E counts as 1000E.
"""

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import ceil
from typing import Any, Literal

Family = Literal["binary", "decimal", "exponent"]

_BINARY = {"": 1, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50, "Ei": 2**60}
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_TEXT = re.compile(r"([+-]?)([0-9]{1,40}(?:\.[0-9]{0,40})?|\.[0-9]{1,40})([A-Za-z]*)([+-]?[0-9]{1,3})?", re.ASCII)
_NANO = Fraction(1, 10**9)
_LARGEST = Fraction(10**21)


@dataclass(frozen=True, slots=True)
class Quantity:
    """An amount. `family` is only its notation: 1Gi and 1073741824 are equal amounts."""

    amount: Fraction
    family: Family = "decimal"

    def __str__(self) -> str:
        if self.family == "binary" and (abs(self.amount) >= 1024 or not self.amount):
            return self._binary()
        return self._decimal()

    def _binary(self) -> str:
        whole = ceil(self.amount) if self.amount > 0 else -ceil(-self.amount)
        for suffix, size in reversed(_BINARY.items()):
            if whole and whole % size == 0:
                return f"{whole // size}{suffix}"
        return "0"

    def _decimal(self) -> str:
        if not self.amount:
            return "0"
        for suffix, power in reversed(_DECIMAL.items()):
            count = self.amount / Fraction(10) ** power
            if count.denominator == 1:
                return f"{count}{suffix if self.family != 'exponent' or not power else f'e{power}'}"
        raise AssertionError("a quantity has at most nine digits after the point")


def parse(value: Any) -> Quantity:
    """The quantity in `value` (text, or a JSON number); `ValueError` with the reason if it is not a quantity."""
    text = str(value) if isinstance(value, (str, int, float)) and not isinstance(value, bool) else ""
    return _parsed(text)


@lru_cache(maxsize=1024)  # many Pods have the same few quantities
def _parsed(text: str) -> Quantity:
    found = _TEXT.fullmatch(text)
    if found is None:
        raise ValueError("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")
    scale, family = _suffix(found[3], found[4])
    amount = Fraction(found[2]) * scale
    amount = min(ceil(amount / _NANO) * _NANO, _LARGEST)
    return Quantity(-amount if found[1] == "-" else amount, family)


def _suffix(letters: str, exponent: str | None) -> tuple[Fraction, Family]:
    if exponent is not None:
        if letters not in ("e", "E"):
            raise ValueError("unable to parse quantity's suffix")
        return Fraction(10) ** int(exponent), "exponent"
    if letters in _DECIMAL:
        return Fraction(10) ** _DECIMAL[letters], "decimal"
    if letters in _BINARY:
        return Fraction(_BINARY[letters]), "binary"
    raise ValueError("unable to parse quantity's suffix")
