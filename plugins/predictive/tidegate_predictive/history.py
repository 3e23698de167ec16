# SPDX-License-Identifier: Apache-2.0
"""The past load of a configuration, in bins of five minutes, for four weeks.

In: bins, in order. Out: a `Series` to learn from. `HistoryStore` keeps them on disk, so that a restart loses less than
a minute; only the background thread uses it. The value of a bin during which no Tidegate ran is NaN, not zero.
"""

import math
import sqlite3
from array import array
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from tidegate.model.objects import Key
from tidegate_predictive.model import DAY

KEPT = 28 * DAY  # bins


class Bin(NamedTuple):
    """One bin as it is on disk; the last one may still be filling."""

    time: int
    seconds: float  # that it was watched for
    concurrency_seconds: float
    requests: float


class Series:
    """The bins in memory: 64 kB at most."""

    def __init__(self) -> None:
        self.begin = 0  # the first bin's time
        self.concurrency = array("f")  # requests at a time
        self.requests = array("f")  # a second

    def __len__(self) -> int:
        return len(self.requests)

    @property
    def known(self) -> int:
        """Bins that were watched."""
        return sum(not math.isnan(value) for value in self.requests)

    def copy(self) -> "Series":
        """As it is now, for another thread."""
        copied = Series()
        copied.begin, copied.concurrency, copied.requests = self.begin, self.concurrency[:], self.requests[:]
        return copied

    def append(self, row: Bin) -> None:
        """A bin later than all there are."""
        if row.seconds <= 0:
            return
        if not self.requests:
            self.begin = row.time
        unwatched = min(row.time - self.begin - len(self), KEPT)
        for values, total in ((self.concurrency, row.concurrency_seconds), (self.requests, row.requests)):
            values.extend([math.nan] * unwatched)
            values.append(total / row.seconds)
            del values[: len(values) - KEPT]
        self.begin = row.time + 1 - len(self)


class HistoryStore:
    """A SQLite file. Nothing is lost by a crash of Tidegate; one of the machine may take the last bins."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._database = sqlite3.connect(folder / "history.db", check_same_thread=False, isolation_level=None)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = NORMAL")
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS bins (series TEXT, time INTEGER, seconds REAL, concurrency_seconds REAL,"
            " requests REAL, PRIMARY KEY (series, time)) WITHOUT ROWID"
        )

    def read(self, series: Key) -> Sequence[Bin]:
        """All bins of one configuration, in order."""
        found = self._database.execute(
            "SELECT time, seconds, concurrency_seconds, requests FROM bins WHERE series = ? ORDER BY time",
            (str(series),),
        )
        return [Bin(*row) for row in found]

    def write(self, rows: Iterable[tuple[Key, Bin]], oldest: int) -> None:
        """Add or replace bins, and drop those before `oldest`, whoever they are of."""
        with self._database:
            self._database.execute("BEGIN")
            self._database.executemany(
                "INSERT OR REPLACE INTO bins VALUES (?, ?, ?, ?, ?)", [(str(series), *row) for series, row in rows]
            )
            self._database.execute("DELETE FROM bins WHERE time < ?", (oldest,))
