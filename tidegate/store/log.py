# SPDX-License-Identifier: Apache-2.0
"""The file under the store: an append-only log of object versions in SQLite.

In: batches of rows, each one durable commit. Out: all rows, in order, when the store opens. A row's id is the
resourceVersion of the version it holds; ids rise and are never used twice. Rows that nothing can ask for any more are
forgotten (`forget`), and `horizon` says up to where history has gaps because of that.

Used by one thread at a time: the opening one, then the writer's (`writer.py`).
"""

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

_FORMAT = 1
_SCHEMA = """
CREATE TABLE log (
    revision INTEGER PRIMARY KEY AUTOINCREMENT,
    resource TEXT NOT NULL,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    value BLOB
) STRICT;
CREATE TABLE horizon (revision INTEGER NOT NULL) STRICT;
INSERT INTO horizon VALUES (0);
"""


class StoreError(Exception):
    """The database cannot be used; the message is one line for whoever started Tidegate."""


class Row(NamedTuple):
    """One version of one object: its JSON, or None where it was deleted."""

    revision: int
    resource: str
    namespace: str
    name: str
    value: bytes | None


class Log:
    """The open database file, locked against other processes until closed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.chmod(0o600)  # SQLite gives its -wal file the same mode
        try:
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=0)
            self._prepare()
        except sqlite3.Error as error:
            raise self._explained(error) from error

    def _prepare(self) -> None:
        # Exclusive before WAL: the lock is held for good, and the WAL's index lives in memory instead of a shared file.
        self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute("PRAGMA secure_delete=ON")  # rows may hold Secrets: forgotten bytes become zeros
        (found,) = self._db.execute("PRAGMA user_version").fetchone()
        if found == 0:
            self._db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version={_FORMAT}; COMMIT;")
        elif found != _FORMAT:
            raise StoreError(f"the state database {self.path} has format {found}; this Tidegate reads format {_FORMAT}")

    def _explained(self, error: sqlite3.Error) -> StoreError:
        if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return StoreError(f"the state database {self.path} is in use by another process")
        if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            return StoreError(
                f"the state database {self.path} is damaged ({error}); restore it, or move it away to start anew"
            )
        return StoreError(f"the state database {self.path} cannot be used: {error}")

    def rows(self) -> Iterator[Row]:
        """Every row there is, oldest first."""
        try:
            for row in self._db.execute("SELECT revision, resource, namespace, name, value FROM log ORDER BY revision"):
                yield Row(*row)
        except sqlite3.Error as error:
            raise self._explained(error) from error

    @property
    def horizon(self) -> int:
        """The newest revision that later rows were forgotten for: from here on, history is complete."""
        return int(self._db.execute("SELECT revision FROM horizon").fetchone()[0])

    @property
    def last(self) -> int:
        """The newest revision ever written, even if its row is forgotten."""
        row = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'log'").fetchone()
        return int(row[0]) if row else 0

    def append(self, rows: Sequence[Row]) -> None:
        """Write all rows or none, durably. In one statement: the interpreter's lock is let go once, not per row."""
        marks = ",".join(["(?,?,?,?,?)"] * len(rows))
        values = [value for row in rows for value in row]
        self._db.execute(f"INSERT INTO log VALUES {marks}", values)  # noqa: S608 (nothing but question marks)

    def forget(self, revisions: Sequence[int], horizon: int) -> None:
        """Drop rows that were replaced at or before `horizon`, and their bytes from the file and the WAL."""
        with self._db:  # commits, or rolls back
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany("DELETE FROM log WHERE revision = ?", [(revision,) for revision in revisions])
            self._db.execute("UPDATE horizon SET revision = ?", (horizon,))
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        self._db.close()
