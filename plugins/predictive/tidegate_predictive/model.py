# SPDX-License-Identifier: Apache-2.0
"""What a load is expected to be: a curve over the week, how far like days strayed from it, and how today compares.

In: the curves that `fitting.py` made, the requests that came and that were expected. Out: a `Forecast`. Pure, and plain
Python: forecasts are made on the event loop, with every decision.

Time is counted in bins of five minutes since the epoch, UTC.
"""

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

BIN = 300.0  # seconds
DAY = 288  # bins
WEEK = 7 * DAY
QUANTILES = (0.5, 0.75, 0.9, 0.95, 0.99)

_REMEMBERED = 0.9  # a bin, of what came before it: about fifty minutes count
_DOUBT = 2.0  # requests; so few say nothing of how a day compares
_HIGHEST = 2.0


@dataclass(frozen=True, slots=True)
class Curve:
    """One quantity. Roots are added up, not values: counts stray by about the root of what they are."""

    expected: Sequence[float]  # for each bin of the week
    strayed: Sequence[Sequence[float]]  # for each of QUANTILES and each bin of the day: of the root

    def upper(self, time: int, quantile: float, level: float) -> float:
        """What it stays below on `quantile` of the days like this, at a level."""
        root = math.sqrt(self.expected[time % WEEK] * level) + self._strayed(time % DAY, quantile)
        return max(root, 0.0) ** 2

    def _strayed(self, slot: int, quantile: float) -> float:
        above = min(max(bisect_right(QUANTILES, quantile), 1), len(QUANTILES) - 1)
        low, high = QUANTILES[above - 1], QUANTILES[above]
        share = (quantile - low) / (high - low)
        return self.strayed[above - 1][slot] * (1 - share) + self.strayed[above][slot] * share


@dataclass(frozen=True, slots=True)
class Model:
    """What a history says of the days to come."""

    concurrency: Curve  # requests at a time, mean of a bin
    requests: Curve  # a second, mean of a bin
    days: float  # of history
    weekly: bool  # whether weekdays differ in it


@dataclass(slots=True)
class LoadLevel:
    """How many requests come for each that was expected, over the last bins in which any were: a holiday, a share of
    the traffic, a day when everybody comes."""

    came: float = 0.0
    expected: float = 0.0

    @property
    def value(self) -> float:
        return min((self.came + _DOUBT) / (self.expected + _DOUBT), _HIGHEST)

    def add(self, came: float, expected: float) -> None:
        """One bin. Where none came and none was expected, nothing is learnt and nothing forgotten."""
        if max(came, expected) >= 1:
            self.came = self.came * _REMEMBERED + came
            self.expected = self.expected * _REMEMBERED + expected


@dataclass(frozen=True, slots=True)
class Forecast:
    """The highest of the bins that were asked for."""

    load: float  # of the metric
    requests: float  # in five minutes
    level: float
    days: float
    weekly: bool

    def wants(self, target: float) -> int:
        """Instances; none where not even one request in five minutes is foreseen."""
        return math.ceil(self.load / target - 1e-9) if self.requests >= 1 else 0


def foresee(model: Model, bins: Iterable[int], *, per_second: bool, quantile: float, level: float) -> Forecast:
    """The load of the bins, one at least: requests at a time, or `per_second` their arrivals."""
    times = list(bins)
    curve = model.requests if per_second else model.concurrency
    return Forecast(
        load=max(curve.upper(time, quantile, level) for time in times),
        requests=max(model.requests.upper(time, quantile, level) for time in times) * BIN,
        level=level,
        days=model.days,
        weekly=model.weekly,
    )
