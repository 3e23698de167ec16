# SPDX-License-Identifier: Apache-2.0
"""The load of one revision, from the gates' counters to the averages that `decide` reads.

In: `LoadReport`s, cumulative, of any number of gateways: every 100 ms while a gate has requests of the revision, at
once when the first one waits, and never while it has none. Out: exact means, second by second, summed over gateways.
Who: `loop.py` keeps one `Meter` a revision that is not at rest.

What silence means:

| the gate's last word      | until it speaks again                                                              |
| --- | --- |
| nothing here              | nothing is here                                                                    |
| n here, others speak on   | as many are here, for `_SILENT` seconds; then that gate is gone and its load too   |
| n here, all are silent    | as many are here: nobody is there to say so                                        |

A gateway that was not heard of before begins to count with its first report: what it counted before that belongs to
requests that a former control plane has seen.
"""

from tidegate.autoscaler.bounds import RPS
from tidegate.autoscaler.policies import Spec
from tidegate.autoscaler.windows import Averages, Windows
from tidegate.model.load import LoadReport

_PERIOD = 0.1  # seconds between the reports of an active gate
_SILENT = 5.0
_RESOLUTION = 2e-6  # seconds; the gate's integrals come in microseconds


class _Source:
    """One gateway's share: the counter as far as it went into the seconds, and what goes on."""

    __slots__ = ("count", "level", "rate", "reported", "until")

    def __init__(self, count: float, now: float) -> None:
        self.count = count
        self.until = now
        self.reported = now
        self.rate = 0.0  # of the counter, as of the last report
        self.level = 0


class Meter:
    """The requests (or with metric rps, their arrivals) of one revision, as means over its two windows.

    Its seconds begin when it does, so that the first one is a whole one.
    """

    __slots__ = ("_filled", "_origin", "_per_second", "_second", "_sources", "_whole", "_windows", "_young_until")

    def __init__(self, spec: Spec, now: float, *, idle_before: bool = False) -> None:
        """`idle_before`: it is known that nothing came within a window until now; else the windows begin here."""
        self._windows = Windows(spec.stable_window, spec.panic_window, spec.algorithm)
        self._per_second = spec.metric == RPS
        self._sources: dict[str, _Source] = {}
        self._origin = now
        self._second = 0  # the one being filled
        self._filled = 0.0  # of the counter, within it
        # Arrivals are counted by whole seconds at first: a hundred in ten milliseconds are not ten thousand a second.
        self._whole = self._per_second and not idle_before
        self._young_until = now if idle_before else now + 1.0
        if idle_before:
            self._windows.idle(-1.0)

    def is_young(self, now: float) -> bool:
        """Whether its windows began less than a second ago, with the request that ended a rest at zero."""
        return now < self._young_until

    def with_current_level(self, averages: Averages) -> Averages:
        """While a burst arrives at zero: the averages are as large as the requests are many, and do not lag behind
        them. Arrivals a second (metric rps) stay what they are."""
        level = 0.0 if self._per_second else float(self.level)
        return Averages(max(averages.stable, level), max(averages.panic, level))

    @property
    def level(self) -> int:
        """Requests here at the last word: at an instance or waiting for one."""
        return sum(source.level for source in self._sources.values())

    def resize(self, spec: Spec) -> None:
        self._windows.resize(spec.stable_window, spec.panic_window)

    def add(self, report: LoadReport) -> None:
        """Take in what a gate says."""
        now, level = max(report.time - self._origin, 0.0), report.in_flight + report.queued
        count = float(report.requests) if self._per_second else report.concurrency_seconds
        source = self._sources.get(report.gateway)
        if source is None:
            # Those that wait have come just now, whatever else this gateway has counted.
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

    def averages(self, now: float, heard: float) -> Averages:
        """As of `now`; `heard` is when any gate spoke last, about whichever revision."""
        now = max(now - self._origin, 0.0)
        for source in self._sources.values():
            self._go_on(source, now, heard - self._origin)
        self._begin(int(now))
        passed = 1.0 if self._whole and self._second == 0 else now - self._second
        if passed <= 0:
            so_far = sum(source.rate for source in self._sources.values())
        else:
            so_far = self._filled / passed
            if abs(so_far - round(so_far)) * passed < _RESOLUTION:
                so_far = float(round(so_far))
        return self._windows.averages_within(now, so_far)

    def _go_on(self, source: _Source, now: float, heard: float) -> None:
        """Since a gate's last word its requests are still there; the next word puts right what is not so."""
        if source.level == 0 or now <= source.until:
            return
        if heard - source.reported > _SILENT:
            source.level, source.rate = 0, 0.0
            return
        came = source.rate * (now - source.until)
        self._spread(source.until, now, came)
        source.count += came
        source.until = now

    def _spread(self, begin: float, end: float, amount: float) -> None:
        """Add to the seconds from `begin` to `end`, evenly."""
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
        """Close the seconds before that one."""
        if second <= self._second:
            return
        self._windows.record(self._second, self._filled)
        if second - 1 > self._second:
            self._windows.idle(second - 1)
        self._second, self._filled = second, 0.0
