# SPDX-License-Identifier: Apache-2.0
"""Numbers in annotations and ConfigMaps, in the syntax of Go's strconv; infinities are rejected."""

import math
import re

_WHOLE = re.compile(r"[+-]?[0-9]{1,100}", re.ASCII)
_NUMBER = re.compile(r"[+-]?([0-9]{1,100}(\.[0-9]{0,100})?|\.[0-9]{1,100})([eE][+-]?[0-9]{1,5})?", re.ASCII)


class OutOfRange(ValueError):
    """A whole number that does not fit into its number of bits."""


def whole(text: str, bits: int = 64) -> int:
    """A signed whole number of `bits` bits; `ValueError` for other text."""
    if not _WHOLE.fullmatch(text):
        raise ValueError("must be a whole number")
    value = int(text)
    if not -(2 ** (bits - 1)) <= value < 2 ** (bits - 1):
        raise OutOfRange(f"must be a whole number of {bits} bits")
    return value


def number(text: str) -> float:
    """A number; `ValueError` for other text."""
    value = float(text) if _NUMBER.fullmatch(text) else math.inf
    if math.isinf(value):
        raise ValueError("must be a number")
    return value
