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
    """One bin as it is on disk; the last one may be incomplete."""

    time: int
    seconds: float  # during which Tidegate ran
    concurrency_seconds: float
    requests: float


class Series:
    """The bins in memory: at most 64 kB."""

    def __init__(self) -> None:
        self.begin = 0  # time of the first bin
        self.concurrency = array("f")  # concurrent requests
        self.requests = array("f")  # requests per second

    def __len__(self) -> int:
        return len(self.requests)

    @property
    def known(self) -> int:
        """The number of bins with a value."""
        return sum(not math.isnan(value) for value in self.requests)

    def copy(self) -> "Series":
        """A copy for another thread."""
        copied = Series()
        copied.begin, copied.concurrency, copied.requests = self.begin, self.concurrency[:], self.requests[:]
        return copied

    def append(self, row: Bin) -> None:
        """Add a bin, which must be later than all others."""
        if row.seconds <= 0:
            return
        if not self.requests:
            self.begin = row.time
        missing = min(row.time - self.begin - len(self), KEPT)
        for values, total in ((self.concurrency, row.concurrency_seconds), (self.requests, row.requests)):
            values.extend([math.nan] * missing)
            values.append(total / row.seconds)
            del values[: len(values) - KEPT]
        self.begin = row.time + 1 - len(self)


class HistoryStore:
    """A SQLite file. A crash of Tidegate loses nothing; a crash of the machine may lose the last bins."""

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
        """Add or replace bins, and delete the bins before `oldest` of all configurations."""
        with self._database:
            self._database.execute("BEGIN")
            self._database.executemany(
                "INSERT OR REPLACE INTO bins VALUES (?, ?, ?, ?, ?)", [(str(series), *row) for series, row in rows]
            )
            self._database.execute("DELETE FROM bins WHERE time < ?", (oldest,))
