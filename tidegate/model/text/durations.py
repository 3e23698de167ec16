# SPDX-License-Identifier: Apache-2.0
"""Durations in Go's notation, e.g. "90s" and "1h30m".

In: text. Out: whole nanoseconds, and back. Rule: Go's time.ParseDuration and Duration.String.
"""

import re
from fractions import Fraction

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE

_UNITS = {"ns": 1, "us": 1_000, "µs": 1_000, "μs": 1_000, "ms": 1_000_000, "s": SECOND, "m": MINUTE, "h": HOUR}
_PART = re.compile(r"([0-9]{0,20})(?:\.([0-9]{0,20}))?(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_LONGEST = 2**63 - 1


def parse(text: str) -> int:
    """Nanoseconds; `ValueError` for text that Go rejects."""
    sign, rest = (-1, text[1:]) if text[:1] == "-" else (1, text.removeprefix("+"))
    if rest == "0":
        return 0
    total, position = Fraction(0), 0
    while position < len(rest) or not position:
        part = _PART.match(rest, position)
        if part is None or not (part[1] or part[2]):
            raise ValueError(f'"{text}" is not a duration such as 30s, 5m or 1h30m')
        digits = Fraction(int(part[1] or 0)) + Fraction(int(part[2] or 0), 10 ** len(part[2] or ""))
        total += digits * _UNITS[part[3]]
        position = part.end()
    if total > _LONGEST:
        raise ValueError(f'"{text}" is too long for a duration')
    return sign * int(total)


def seconds(text: str) -> float:
    """The duration in seconds."""
    return parse(text) / SECOND


def render(nanoseconds: int) -> str:
    """The duration in the format of Go: "1m30s", "1.5s", "100ms", "0s"."""
    if nanoseconds < 0:
        return "-" + render(-nanoseconds)
    if nanoseconds < SECOND:
        return _small(nanoseconds)
    minutes, below = divmod(nanoseconds, MINUTE)
    hours, minutes = divmod(minutes, 60)
    text = f"{_decimal(below, SECOND)}s"
    if minutes or hours:
        text = f"{minutes}m{text}"
    return f"{hours}h{text}" if hours else text


def _small(nanoseconds: int) -> str:
    for unit, size in (("ms", 1_000_000), ("µs", 1_000), ("ns", 1)):
        if nanoseconds >= size:
            return _decimal(nanoseconds, size) + unit
    return "0s"


def _decimal(value: int, size: int) -> str:
    whole, rest = divmod(value, size)
    if not rest:
        return str(whole)
    return f"{whole}.{rest:0{len(str(size)) - 1}d}".rstrip("0")
