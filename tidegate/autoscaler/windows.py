# SPDX-License-Identifier: Apache-2.0
"""Averages over the last seconds, exactly as in Knative, and readings in the middle of a second.

In: one value a second (`meter.py` makes it from the gate's time integrals, so it is that second's exact mean). Out:
the averages over the stable and the panic window, the input of `kpa.py`. Rule: knative/serving,
pkg/autoscaler/aggregation/bucketing.go.

| newest bucket, buckets ago | linear                                       | weighted                           |
| --- | --- | --- |
| 0                          | sum / buckets since the first, at most all   | sum of v_i c (1-c)^i, newest first |
| d, within the window       | sum of the rest / buckets of the rest        | sum of the rest, times (1-c)^d     |
| beyond                     | 0                                            | 0                                  |

Linear averages are rounded to six digits. A value after a window of silence starts over, so that a young window is
averaged over its own age.
"""

import math
from dataclasses import dataclass

WEIGHTED = frozenset({"weighted-exponential", "weightedExponential"})

_DIGITS = 1e6
_SMALLEST_COEFFICIENT = 0.2
_WEIGHT_BEYOND = 1e-4  # the total weight of values older than the window


class Buckets:
    """A ring of values, one per bucket of `granularity` seconds, averaged evenly; writes into one bucket add up."""

    __slots__ = ("_first", "_granularity", "_last", "_values", "_window")

    def __init__(self, window: float, granularity: float = 1.0) -> None:
        self._window = window
        self._granularity = granularity
        self._values = [0.0] * math.ceil(window / granularity)
        self._first = 0  # index, as time / granularity, of the oldest bucket that counts
        self._last: int | None = None  # of the newest bucket written

    def record(self, now: float, value: float) -> None:
        """Add `value` to the bucket of `now`; a value older than the window is dropped."""
        index = self._index(now)
        size = len(self._values)
        if self._last is None or index - self._last >= size:
            self._values = [0.0] * size
            self._first = self._last = index
        elif (self._last - index) * self._granularity >= self._window:
            return
        self._first = min(self._first, index)
        for skipped in range(self._last + 1, index + 1):
            self._values[skipped % size] = 0.0
        self._last = max(self._last, index)
        self._values[index % size] += value

    def idle(self, now: float) -> None:
        """Record that nothing came up to and including the bucket of `now`; unlike a value this does not start over."""
        index, size = self._index(now), len(self._values)
        if self._last is None or index - self._last >= size:
            self._values = [0.0] * size
            self._first, self._last = index - size + 1, index
        else:
            self.record(now, 0.0)

    def average(self, now: float) -> float:
        """The average at `now`."""
        last, size = self._last, len(self._values)
        if last is None:
            return 0.0
        silent = max(self._index(now) - last, 0)
        if silent >= size:
            return 0.0
        total = sum(self._values) - sum(self._values[(last + past) % size] for past in range(1, silent + 1))
        return _rounded(total / min(last - self._first + 1, size - silent))

    def average_with(self, now: float, value: float) -> float:
        """The average if `value` were recorded at `now`, in a bucket after the newest."""
        last, size = self._last, len(self._values)
        if last is None or self._index(now) - last >= size:
            return _rounded(value)
        index = self._index(now)
        total = sum(self._values) - sum(self._values[past % size] for past in range(last + 1, index + 1))
        return _rounded((total + value) / min(index - self._first + 1, size))

    def is_empty(self, now: float) -> bool:
        """Whether nothing was recorded within the window."""
        return self._last is None or (self._index(now) - self._last) * self._granularity > self._window

    def resize(self, window: float) -> None:
        """Change the window, keeping the newest values that fit."""
        if window == self._window:
            return
        before, size = self._values, math.ceil(window / self._granularity)
        self._window, self._values = window, [0.0] * size
        if self._last is None:
            return
        for index in range(self._last, self._last - min(size, len(before)), -1):
            self._values[index % size] = before[index % len(before)]
        # As in Knative: the whole old window counts as written, even if it was younger.
        self._first = self._last - (len(before) - 1)

    def _index(self, now: float) -> int:
        return int(now // self._granularity)


class WeightedBuckets(Buckets):
    """The same ring, averaged with weights that fall exponentially from the newest bucket."""

    __slots__ = ("_coefficient",)

    def __init__(self, window: float, granularity: float = 1.0) -> None:
        super().__init__(window, granularity)
        self._coefficient = _coefficient(len(self._values))

    def average(self, now: float) -> float:
        if self._last is None or self.is_empty(now):
            return 0.0
        silent = max(self._index(now) - self._last, 0)
        return self._weighted(silent, self._last, len(self._values) - silent)

    def average_with(self, now: float, value: float) -> float:
        newest = value * self._coefficient
        if self._last is None or self._index(now) - self._last >= len(self._values):
            return newest
        silent = self._index(now) - self._last
        return newest + self._weighted(silent, self._last, len(self._values) - silent)

    def resize(self, window: float) -> None:
        super().resize(window)
        self._coefficient = _coefficient(len(self._values))

    def _weighted(self, silent: int, newest: int, count: int) -> float:
        """The sum over `count` buckets back from `newest`, with `silent` buckets without a value after it."""
        weight = self._coefficient * (1 - self._coefficient) ** silent
        size, total = len(self._values), 0.0
        for index in range(newest, newest - count, -1):
            total += self._values[index % size] * weight
            weight *= 1 - self._coefficient
        return total


@dataclass(frozen=True, slots=True)
class Averages:
    """The averages of a metric over its two windows."""

    stable: float
    panic: float


class Windows:
    """The stable and the panic window of one metric of one revision."""

    __slots__ = ("_panic", "_stable")

    def __init__(self, stable: float, panic: float, algorithm: str = "") -> None:
        kind = WeightedBuckets if algorithm in WEIGHTED else Buckets
        self._stable = kind(stable)
        self._panic = kind(panic)

    def record(self, now: float, value: float) -> None:
        self._stable.record(now, value)
        self._panic.record(now, value)

    def idle(self, now: float) -> None:
        self._stable.idle(now)
        self._panic.idle(now)

    def resize(self, stable: float, panic: float) -> None:
        self._stable.resize(stable)
        self._panic.resize(panic)

    def averages(self, now: float) -> Averages | None:
        """The averages at `now`; None if nothing was recorded within the stable window."""
        if self._stable.is_empty(now):
            return None
        return Averages(self._stable.average(now), self._panic.average(now))

    def averages_within(self, now: float, so_far: float) -> Averages:
        """The averages in the middle of a second whose mean is `so_far`: each moves evenly from its value at the start
        of the second to its value at the end, if the mean stays the same. For linear averages of a full window that is
        the exact mean over the window that ends now."""
        second = math.floor(now)
        passed = now - second
        return Averages(
            _between(self._stable, second, passed, so_far),
            _between(self._panic, second, passed, so_far),
        )


def _between(buckets: Buckets, second: int, passed: float, so_far: float) -> float:
    after = buckets.average_with(second, so_far)
    if buckets.is_empty(second - 1):
        return after
    return max((1 - passed) * buckets.average(second - 1) + passed * after, 0.0)


def _coefficient(count: int) -> float:
    return max(1 - math.pow(_WEIGHT_BEYOND, 1 / count), _SMALLEST_COEFFICIENT)


def _rounded(value: float) -> float:
    return math.copysign(math.floor(abs(value) * _DIGITS + 0.5) / _DIGITS, value)
