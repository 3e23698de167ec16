# SPDX-License-Identifier: Apache-2.0
"""The load of one revision, from the gates' counters to the averages that a class reads.

In: cumulative `LoadReport`s of any number of gateways: every 100 ms while a gate has requests of the revision, at once
when the first one waits, and none while it has no request. Out: exact means, second by second, summed over gateways.
Called by: `scaler.py`, which keeps a `Meter` for each revision that is not at rest.

The meaning of a gate that sends no reports:

| its last report | other gates  | its load until its next report                                   |
| --- | --- | --- |
| no request      | any          | none                                                             |
| n requests      | send reports | n requests for `_SILENT` seconds, then none: the gate has ended  |
| n requests      | send none    | n requests: the connection to all gates may be lost              |

A new gateway counts from its first report on: its earlier counts belong to requests that an earlier control plane saw.
"""

from tidegate.autoscaler.bounds import RPS
from tidegate.autoscaler.policies import Spec
from tidegate.autoscaler.windows import Averages, Windows
from tidegate.model.load import LoadReport

_PERIOD = 0.1  # seconds between the reports of an active gate
_SILENT = 5.0
_RESOLUTION = 2e-6  # seconds; the gate's integrals come in microseconds


class _Source:
    """The share of one gateway: its counter up to the last report, and its current requests."""

    __slots__ = ("count", "level", "rate", "reported", "until")

    def __init__(self, count: float, now: float) -> None:
        self.count = count
        self.until = now
        self.reported = now
        self.rate = 0.0  # of the counter, from the last report
        self.level = 0


class Meter:
    """The requests (or with metric rps, their arrivals) of one revision, as means over its two windows.

    Its seconds begin when it does, so that the first one is a whole one.
    """

    __slots__ = ("_filled", "_origin", "_per_second", "_second", "_sources", "_whole", "_windows", "_young_until")

    def __init__(self, spec: Spec, now: float, *, idle_before: bool = False) -> None:
        """`idle_before`: there was certainly no request within a window until now; else the windows begin now."""
        self._windows = Windows(spec.stable_window, spec.panic_window, spec.algorithm)
        self._per_second = spec.metric == RPS
        self._sources: dict[str, _Source] = {}
        self._origin = now
        self._second = 0  # the current second
        self._filled = 0.0  # of the counter, within the current second
        # The first arrivals count as those of a whole second: 100 in 10 ms are not 10,000 a second.
        self._whole = self._per_second and not idle_before
        self._young_until = now if idle_before else now + 1.0
        if idle_before:
            self._windows.idle(-1.0)

    def is_young(self, now: float) -> bool:
        """Whether its windows began less than a second ago, with the request that ended a rest at zero."""
        return now < self._young_until

    def with_current_level(self, averages: Averages) -> Averages:
        """Averages that are at least the current number of requests, for a burst at zero. Arrivals (metric rps) do not
        change."""
        level = 0.0 if self._per_second else float(self.level)
        return Averages(max(averages.stable, level), max(averages.panic, level))

    @property
    def level(self) -> int:
        """The requests of the last reports, at an instance or waiting for one."""
        return sum(source.level for source in self._sources.values())

    def resize(self, spec: Spec) -> None:
        self._windows.resize(spec.stable_window, spec.panic_window)

    def add(self, report: LoadReport) -> None:
        """Count a report."""
        now, level = max(report.time - self._origin, 0.0), report.in_flight + report.queued
        count = float(report.requests) if self._per_second else report.concurrency_seconds
        source = self._sources.get(report.gateway)
        if source is None:
            # The waiting requests have arrived just now; the gateway's other counts are older.
            source = _Source(count - report.queued if self._per_second else count, now)
            self._sources[report.gateway] = source
        begin = source.until if source.level else max(source.until, now - _PERIOD)
        self._spread(begin, now, count - source.count)
        if not self._per_second:
            source.rate = float(level)
        elif now > source.reported:
            source.rate = max(count - source.count, 0.0) / (now - source.reported) if level else 0.0
        source.count, source.until, source.reported = count, max(source.until, now), now
        source.level = level

    def averages(self, now: float, reported: float) -> Averages:
        """The averages at `now`. `reported`: when any gate sent a report last, about any revision."""
        now = max(now - self._origin, 0.0)
        for source in self._sources.values():
            self._extend(source, now, reported - self._origin)
        self._begin(int(now))
        passed = 1.0 if self._whole and self._second == 0 else now - self._second
        if passed <= 0:
            so_far = sum(source.rate for source in self._sources.values())
        else:
            so_far = self._filled / passed
            if abs(so_far - round(so_far)) * passed < _RESOLUTION:
                so_far = float(round(so_far))
        return self._windows.averages_within(now, so_far)

    def _extend(self, source: _Source, now: float, reported: float) -> None:
        """Extend a gate's last report until `now`, as if its requests were still there; its next report corrects it."""
        if source.level == 0 or now <= source.until:
            return
        if reported - source.reported > _SILENT:
            source.level, source.rate = 0, 0.0
            return
        came = source.rate * (now - source.until)
        self._spread(source.until, now, came)
        source.count += came
        source.until = now

    def _spread(self, begin: float, end: float, amount: float) -> None:
        """Spread an amount evenly over the seconds from `begin` to `end`."""
        begin = max(begin, 0.0)
        if amount == 0:
            return
        if end <= begin:
            self._fill(int(end), amount)
            return
        density = amount / (end - begin)
        for second in range(int(begin), int(end) + 1):
            self._fill(second, density * (min(end, second + 1) - max(begin, second)))

    def _fill(self, second: int, amount: float) -> None:
        self._begin(second)
        if second == self._second:
            self._filled += amount
        else:
            self._windows.record(second, amount)

    def _begin(self, second: int) -> None:
        """Complete the seconds before this one."""
        if second <= self._second:
            return
        self._windows.record(self._second, self._filled)
        if second - 1 > self._second:
            self._windows.idle(second - 1)
        self._second, self._filled = second, 0.0
