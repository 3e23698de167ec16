# SPDX-License-Identifier: Apache-2.0
"""The load of all revisions of the class, the histories of their configurations, and the models of these.

In: gate reports, the time. Out: for a revision, a `Forecast` or a sentence that says why there is none. Called by:
`policy.py`, on the event loop. Files are read and models fitted by `PolicyContext.work`; a later minute takes the
results.

A history belongs to a configuration and is the sum of its revisions: a new revision starts with the whole history, and
its `LoadLevel` soon shows its share of it.
"""

import sqlite3
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeVar

import structlog

from tidegate.autoscaler.policies import PolicyContext
from tidegate.model.load import LoadReport
from tidegate.model.objects import Key
from tidegate_predictive.fitting import LEAST, FitError
from tidegate_predictive.history import KEPT, Bin, HistoryStore, Series
from tidegate_predictive.model import BIN, DAY, WEEK, Forecast, LoadLevel, Model, foresee

T = TypeVar("T")

MINUTE = 60.0
_FIT_EVERY = DAY  # bins
_REFIT_AFTER = 12  # bins after a fit that failed
_GATEWAYS = 8  # whose counters are kept per revision; a gateway gets a new name with each start

_log = structlog.get_logger("predictive")


@dataclass(slots=True)
class _Revision:
    """The load of one revision in the current bin."""

    configuration: Key
    counters: dict[str, tuple[float, int]] = field(default_factory=dict)  # by gateway, from its last report
    concurrency_seconds: float = 0.0
    requests: float = 0.0
    level: LoadLevel = field(default_factory=LoadLevel)

    def add(self, report: LoadReport) -> None:
        """Count a report. The first one of a gateway includes older requests; only the waiting ones are new."""
        before = self.counters.get(report.gateway, (report.concurrency_seconds, report.requests - report.queued))
        self.counters[report.gateway] = report.concurrency_seconds, report.requests
        self.concurrency_seconds += max(report.concurrency_seconds - before[0], 0.0)
        self.requests += max(report.requests - before[1], 0)
        if len(self.counters) > _GATEWAYS:
            del self.counters[next(iter(self.counters))]


@dataclass(slots=True)
class _Configuration:
    """A history and its model."""

    stored: Future[list[Bin]] | None
    series: Series = field(default_factory=Series)
    filling: Bin | None = None  # the current bin, as counted before a restart or by deleted revisions
    model: Model | None = None
    fitting: Future[Model] | None = None
    fit_at: int = 0  # the earliest bin for the next fit
    failure: str = ""


class Learner:
    """Collects and learns. `fit` makes a model; it runs in the background."""

    def __init__(self, context: PolicyContext, fit: Callable[[Series], Model]) -> None:
        self._context = context
        self._fit = fit
        self._store: HistoryStore | None = None
        self._revisions: dict[Key, _Revision] = {}
        self._configurations: dict[Key, _Configuration] = {}
        self._time = -1  # of the current bin
        self._since = 0.0  # wall time since which the current bin is counted
        self._next = 0.0  # wall time of the next round
        self._written: Future[None] | None = None
        self._pending: set[Future[Any]] = set()  # reads and fits

    def know(self, revision: Key, configuration: Key) -> None:
        """Start to count a revision of this class."""
        known = self._revisions.get(revision)
        if known is None or known.configuration != configuration:
            self._revisions[revision] = _Revision(configuration)
        self._configuration(configuration)

    def seed(self, configuration: Key, series: Series) -> None:
        """Start with this history and its model."""
        found = self._configuration(configuration)
        found.series = series
        found.fitting = self._work(lambda: self._fit(series))
        found.fit_at = series.begin + len(series) + _FIT_EVERY

    def history(self, configuration: Key) -> Series:
        """The completed bins of a configuration."""
        return self._configurations[configuration].series

    def learn(self, revision: Key, report: LoadReport) -> None:
        known = self._revisions.get(revision)
        if known is not None:
            known.add(report)

    def forget(self, revision: Key) -> None:
        """Stop counting a revision; its load stays in the history of its configuration."""
        known = self._revisions.pop(revision, None)
        if known is None:
            return
        if any(other.configuration == known.configuration for other in self._revisions.values()):
            found = self._configurations[known.configuration]
            found.filling = _sum(self._time, found.filling, known)
        else:
            del self._configurations[known.configuration]

    def due(self, now: float) -> list[Key]:
        """All revisions, once a minute, because the horizon has moved; and at once after a read or a fit."""
        wall = self._wall(now)
        if wall < self._next and not self._has_news():
            return []
        self._next = (wall // MINUTE + 1) * MINUTE
        if self._time < 0:
            self._time, self._since = int(wall // BIN), wall
        for found in self._configurations.values():
            self._take_in(found)
        self._keep(wall)
        if int(wall // BIN) > self._time:
            self._close(wall)
        for found in self._configurations.values():
            self._refit(found)
        return list(self._revisions)

    def _has_news(self) -> bool:
        """Whether a read or a fit has ended since the last call."""
        done = [future for future in self._pending if future.done()]
        self._pending.difference_update(done)
        return bool(done)

    def _work(self, function: Callable[[], T]) -> Future[T]:
        future = self._context.work(function)
        self._pending.add(future)
        return future

    def foresee(
        self, revision: Key, now: float, horizon: float, *, per_second: bool, quantile: float
    ) -> Forecast | str:
        """The highest load until the horizon, or a sentence with the reason why there is no forecast."""
        known = self._revisions.get(revision)
        found = None if known is None else self._configurations.get(known.configuration)
        if known is None or found is None or found.model is None:
            return "No forecast: " + ("nothing is known of it." if found is None else self._reason(found))
        wall = self._wall(now)
        bins = range(int(wall // BIN), min(int((wall + horizon) // BIN), int(wall // BIN) + WEEK) + 1)
        return foresee(found.model, bins, per_second=per_second, quantile=quantile, level=known.level.value)

    def failure(self, revision: Key) -> str:
        """Why the last fit of its history failed; empty if it did not."""
        known = self._revisions.get(revision)
        return "" if known is None else self._configurations[known.configuration].failure

    def _reason(self, found: _Configuration) -> str:
        if found.failure:
            return f"the fit failed: {found.failure}."
        if found.stored is not None:
            return "its history is being read."
        hours, needed = len(found.series) / 12, LEAST / 12
        if hours < needed:
            return f"there are {hours:.1f} h of history, and {needed:.0f} h are needed."
        return "its history is being learnt."

    def _wall(self, now: float) -> float:
        clock = self._context.clock
        return clock.wall().timestamp() + now - clock.monotonic()

    def _configuration(self, name: Key) -> _Configuration:
        found = self._configurations.get(name)
        if found is None:
            stored = None if self._context.folder is None else self._work(lambda: list(self._opened().read(name)))
            found = self._configurations[name] = _Configuration(stored)
        return found

    def _opened(self) -> HistoryStore:
        """The store; called in the background thread."""
        if self._context.folder is None:
            raise FileNotFoundError("no folder is given")
        if self._store is None:
            self._store = HistoryStore(self._context.folder)
        return self._store

    def _take_in(self, found: _Configuration) -> None:
        """Take the results of the background thread."""
        if found.stored is not None and found.stored.done():
            stored, found.stored = found.stored, None
            error = stored.exception()
            if error is None:
                self._restore(found, stored.result())
            elif isinstance(error, (OSError, sqlite3.Error)):
                _log.warning("history cannot be read", error=str(error))
            else:
                raise error
        if found.fitting is not None and found.fitting.done():
            fitting, found.fitting = found.fitting, None
            error = fitting.exception()
            if error is None:
                found.model, found.failure = fitting.result(), ""
            elif isinstance(error, FitError):
                found.failure, found.fit_at = str(error), self._time + _REFIT_AFTER
                _log.warning("fit failed", error=str(error))
            else:
                raise error

    def _restore(self, found: _Configuration, rows: list[Bin]) -> None:
        """Put the stored bins before the bins that were completed while the store was read."""
        closed, found.series = found.series, Series()
        first = closed.begin if len(closed) else self._time
        for row in rows:
            if row.time < first:
                found.series.append(row)
            elif row.time == self._time:
                found.filling = row
        for place in range(len(closed)):
            concurrency, requests = closed.concurrency[place] * BIN, closed.requests[place] * BIN
            found.series.append(Bin(closed.begin + place, BIN, concurrency, requests))

    def _filled(self, wall: float) -> dict[Key, Bin]:
        """The current bin of each configuration, until now."""
        own = wall - self._since
        rows = {name: _sum(self._time, found.filling, seconds=own) for name, found in self._configurations.items()}
        for known in self._revisions.values():
            rows[known.configuration] = _sum(self._time, rows[known.configuration], known)
        return rows

    def _close(self, wall: float) -> None:
        for name, row in self._filled(wall).items():
            found = self._configurations[name]
            found.series.append(row)
            found.filling = None
        for known in self._revisions.values():
            model = self._configurations[known.configuration].model
            if model is not None:
                seconds = wall - self._since
                known.level.add(known.requests, model.requests.expected[self._time % WEEK] * seconds)
            known.concurrency_seconds, known.requests = 0.0, 0.0
        self._time, self._since = int(wall // BIN), wall

    def _keep(self, wall: float) -> None:
        """Write the current bin of each configuration whose history has been read."""
        if self._context.folder is None:
            return
        if self._written is not None and self._written.done():
            error = self._written.exception()
            if isinstance(error, (OSError, sqlite3.Error)):
                _log.warning("history cannot be written", error=str(error))
            elif error is not None:
                raise error
        rows = [(name, row) for name, row in self._filled(wall).items() if self._configurations[name].stored is None]
        oldest = self._time - KEPT
        if rows:
            self._written = self._context.work(lambda: self._opened().write(rows, oldest))

    def _refit(self, found: _Configuration) -> None:
        if found.stored is None and found.fitting is None and self._time >= found.fit_at:
            series = found.series.copy() if found.series.known >= LEAST else None
            if series is not None:
                found.fit_at = self._time + _FIT_EVERY
                found.fitting = self._work(lambda: self._fit(series))


def _sum(time: int, row: Bin | None, revision: _Revision | None = None, *, seconds: float = 0.0) -> Bin:
    """A bin with the load of one revision added, or with more time."""
    row = row or Bin(time, 0.0, 0.0, 0.0)
    if revision is None:
        return row._replace(seconds=row.seconds + seconds)
    return row._replace(
        concurrency_seconds=row.concurrency_seconds + revision.concurrency_seconds,
        requests=row.requests + revision.requests,
    )
