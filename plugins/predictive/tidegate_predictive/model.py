# SPDX-License-Identifier: Apache-2.0
"""The expected load: a curve over the week, the deviation of similar days from it, and how today compares.

In: the curves that `fitting.py` made, the number of requests that came and that were expected. Out: a `Forecast`. Pure,
and plain Python, because the event loop computes a forecast with every decision.

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

_DECAY = 0.9  # weight of the past with each bin: about the last 50 minutes count
_DOUBT = 2.0  # requests; fewer say nothing about the day
_HIGHEST = 2.0


@dataclass(frozen=True, slots=True)
class Curve:
    """One quantity. It adds square roots, not values: a count deviates by about its square root."""

    expected: Sequence[float]  # for each bin of the week
    deviation: Sequence[Sequence[float]]  # of the root, for each of QUANTILES and each bin of the day

    def upper(self, time: int, quantile: float, level: float) -> float:
        """The value that `quantile` of the similar days do not exceed, at a level."""
        root = math.sqrt(self.expected[time % WEEK] * level) + self._deviation(time % DAY, quantile)
        return max(root, 0.0) ** 2

    def _deviation(self, slot: int, quantile: float) -> float:
        above = min(max(bisect_right(QUANTILES, quantile), 1), len(QUANTILES) - 1)
        low, high = QUANTILES[above - 1], QUANTILES[above]
        share = (quantile - low) / (high - low)
        return self.deviation[above - 1][slot] * (1 - share) + self.deviation[above][slot] * share


@dataclass(frozen=True, slots=True)
class Model:
    """A model of the days to come, fitted to a history."""

    concurrency: Curve  # concurrent requests, mean of a bin
    requests: Curve  # per second, mean of a bin
    days: float  # of history
    weekly: bool  # whether weekdays differ in it


@dataclass(slots=True)
class LoadLevel:
    """The ratio of the requests that came to the expected ones, over the last bins with any. It follows a holiday, a
    busy day, and the revision's share of the traffic."""

    came: float = 0.0
    expected: float = 0.0

    @property
    def value(self) -> float:
        return min((self.came + _DOUBT) / (self.expected + _DOUBT), _HIGHEST)

    def add(self, came: float, expected: float) -> None:
        """Count one bin. A bin without requests, come or expected, changes nothing."""
        if max(came, expected) >= 1:
            self.came = self.came * _DECAY + came
            self.expected = self.expected * _DECAY + expected


@dataclass(frozen=True, slots=True)
class Forecast:
    """The highest value within the bins of a question."""

    load: float  # of the metric
    requests: float  # in five minutes
    level: float
    days: float
    weekly: bool

    def wants(self, target: float) -> int:
        """The number of instances; 0 if less than one request in five minutes is forecast."""
        return math.ceil(self.load / target - 1e-9) if self.requests >= 1 else 0


def foresee(model: Model, bins: Iterable[int], *, per_second: bool, quantile: float, level: float) -> Forecast:
    """The highest load in the bins (at least one): concurrent requests, or with `per_second` arrivals."""
    times = list(bins)
    curve = model.requests if per_second else model.concurrency
    return Forecast(
        load=max(curve.upper(time, quantile, level) for time in times),
        requests=max(model.requests.upper(time, quantile, level) for time in times) * BIN,
        level=level,
        days=model.days,
        weekly=model.weekly,
    )
