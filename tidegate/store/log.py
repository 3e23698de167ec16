# SPDX-License-Identifier: Apache-2.0
"""The file under the store: an append-only log of object versions in SQLite.

In: batches of rows, each one durable commit. Out: all rows, in order, when the store opens. A row's id is the
resourceVersion of the version it holds; ids rise and are never used twice. Rows that nothing can ask for any more are
forgotten (`forget`), and `horizon` says up to where history has gaps because of that.

Used by one thread at a time: the opening one, then the writer's (`writer.py`).
"""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import suppress
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


_LONGEST_WAL = 64 * 1024 * 1024  # bytes that SQLite's -wal file keeps after a large commit

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_REASONS = {
    sqlite3.SQLITE_FULL: "no space left on device",
    sqlite3.SQLITE_READONLY: "read-only file system",
    sqlite3.SQLITE_IOERR: "input/output error",
    sqlite3.SQLITE_NOMEM: "cannot allocate memory",
}


class StoreError(Exception):
    """The database cannot be used; the message is one line for whoever started Tidegate."""


def code(error: Exception) -> int:
    """SQLite's primary result code; 0 for an error that is not SQLite's."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def why(error: Exception) -> str:
    """Why the database could not be written, in the kernel's words."""
    return _REASONS.get(code(error)) or str(error)


def is_damage(error: Exception) -> bool:
    """Whether the file itself is broken, so that no later try can succeed."""
    return code(error) in _DAMAGED


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
        self._reserved = 0
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
        self._db.execute(f"PRAGMA journal_size_limit={_LONGEST_WAL}")
        (found,) = self._db.execute("PRAGMA user_version").fetchone()
        if found == 0:
            self._db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version={_FORMAT}; COMMIT;")
        elif found != _FORMAT:
            raise StoreError(f"the state database {self.path} has format {found}; this Tidegate reads format {_FORMAT}")

    def _explained(self, error: sqlite3.Error) -> StoreError:
        if code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return StoreError(f"the state database {self.path} is in use by another process")
        if is_damage(error):
            return damaged(self.path, error)
        return StoreError(f"the state database {self.path} cannot be used: {why(error)}")

    def reserve(self, size: int) -> None:
        """Have that many free bytes in the file, and as many in its WAL, which writes may use while the disk has no
        room. Raises `sqlite3.Error` where it has none already."""
        (free,) = self._db.execute("PRAGMA freelist_count").fetchone()
        (page,) = self._db.execute("PRAGMA page_size").fetchone()
        self._db.execute(f"PRAGMA wal_autocheckpoint={max(min(size // page // 2, 1000), 1)}")  # before it has to grow
        if free * page < size:
            self._transact(
                ("CREATE TABLE reserve (room BLOB)", ()), ("INSERT INTO reserve VALUES (zeroblob(?))", (size,))
            )
            self._db.execute("PRAGMA wal_checkpoint(FULL)")  # else the table is never written to the file itself
            self._transact(("DROP TABLE reserve", ()))
        self._reserved = size
        self._reserve_wal()

    def _reserve_wal(self) -> None:
        """Give the WAL its blocks before they are needed. What lies in it behind its last commit is ignored."""
        if not self._reserved:
            return
        file = os.open(f"{self.path}-wal", os.O_WRONLY)  # of the WAL, on which SQLite holds no locks
        try:
            with suppress(OSError):
                os.posix_fallocate(file, 0, self._reserved)
        finally:
            os.close(file)

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
        deletions = [("DELETE FROM log WHERE revision = ?", (revision,)) for revision in revisions]
        self._transact(*deletions, ("UPDATE horizon SET revision = ?", (horizon,)))
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._reserve_wal()

    def _transact(self, *statements: tuple[str, tuple[int, ...]]) -> None:
        """All of them or none. Not all failures end SQLite's transaction, and what is appended must not be part of one
        that nobody commits."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            for statement, values in statements:
                self._db.execute(statement, values)
            self._db.execute("COMMIT")
        except sqlite3.Error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def close(self) -> None:
        self._db.close()


def damaged(path: Path, why: object) -> StoreError:
    """The refusal of a database that is broken."""
    return StoreError(
        f"the state database {path} is damaged ({why}): restore it, or start without it by `tidegate up --reset`"
    )
