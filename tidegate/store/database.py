# SPDX-License-Identifier: Apache-2.0
"""The file below the store: an append-only log of object versions in SQLite.

In: batches of rows; each batch is one durable commit. Out: all rows, in order, when the store opens. The id of a row is
the resourceVersion of the version that it holds; ids rise and are never used twice. Rows that no reader can request any
longer are deleted (`delete`). History has gaps up to `horizon`, because rows were deleted there.

One thread at a time uses it: the thread that opens the store, then the writer thread (`writer.py`).
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

_MAX_WAL = 64 * 1024 * 1024  # bytes to which SQLite truncates its -wal file after a large commit

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_REASONS = {
    sqlite3.SQLITE_FULL: "no space left on device",
    sqlite3.SQLITE_READONLY: "read-only file system",
    sqlite3.SQLITE_IOERR: "input/output error",
    sqlite3.SQLITE_NOMEM: "cannot allocate memory",
}


class StoreError(Exception):
    """The database cannot be used; the message is one line for the user who starts Tidegate."""


def result_code(error: Exception) -> int:
    """SQLite's primary result code; 0 if the error is not SQLite's."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def reason(error: Exception) -> str:
    """Why the database could not be written, in the kernel's words."""
    return _REASONS.get(result_code(error)) or str(error)


def is_damage(error: Exception) -> bool:
    """Whether the file itself is damaged, so that no retry can succeed."""
    return result_code(error) in _DAMAGED


class VersionRow(NamedTuple):
    """One version of one object. `value`: its JSON, None for a deletion."""

    revision: int
    resource: str
    namespace: str
    name: str
    value: bytes | None


class Database:
    """The open database file. It is locked against other processes until `close`."""

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
            raise self._store_error(error) from error

    def _prepare(self) -> None:
        # Exclusive before WAL: the lock is held until close, and the WAL's index is in memory, not in a shared file.
        self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute("PRAGMA secure_delete=ON")  # rows may hold Secrets: deleted bytes become zeros
        self._db.execute(f"PRAGMA journal_size_limit={_MAX_WAL}")
        (found,) = self._db.execute("PRAGMA user_version").fetchone()
        if found == 0:
            self._db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version={_FORMAT}; COMMIT;")
        elif found != _FORMAT:
            raise StoreError(f"the state database {self.path} has format {found}; this Tidegate reads format {_FORMAT}")

    def _store_error(self, error: sqlite3.Error) -> StoreError:
        if result_code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return StoreError(f"the state database {self.path} is in use by another process")
        if is_damage(error):
            return damage_error(self.path, error)
        return StoreError(f"the state database {self.path} cannot be used: {reason(error)}")

    def reserve(self, size: int) -> None:
        """Keep `size` bytes free in the file and in its WAL, for writes while the disk is full. Raises `sqlite3.Error`
        if the disk is full already."""
        (free,) = self._db.execute("PRAGMA freelist_count").fetchone()
        (page,) = self._db.execute("PRAGMA page_size").fetchone()
        self._db.execute(
            f"PRAGMA wal_autocheckpoint={max(min(size // page // 2, 1000), 1)}"
        )  # checkpoint before the WAL has to grow
        if free * page < size:
            self._transact(
                ("CREATE TABLE reserve (room BLOB)", ()), ("INSERT INTO reserve VALUES (zeroblob(?))", (size,))
            )
            self._db.execute("PRAGMA wal_checkpoint(FULL)")  # without this the table is never written to the main file
            self._transact(("DROP TABLE reserve", ()))
        self._reserved = size
        self._reserve_wal()

    def _reserve_wal(self) -> None:
        """Allocate the WAL's blocks before they are needed. SQLite ignores bytes behind the last commit."""
        if not self._reserved:
            return
        file = os.open(f"{self.path}-wal", os.O_WRONLY)  # SQLite holds no POSIX locks on the WAL
        try:
            with suppress(OSError):
                os.posix_fallocate(file, 0, self._reserved)
        finally:
            os.close(file)

    def rows(self) -> Iterator[VersionRow]:
        """All rows, oldest first."""
        try:
            for row in self._db.execute("SELECT revision, resource, namespace, name, value FROM log ORDER BY revision"):
                yield VersionRow(*row)
        except sqlite3.Error as error:
            raise self._store_error(error) from error

    @property
    def horizon(self) -> int:
        """The revision after which history is complete."""
        return int(self._db.execute("SELECT revision FROM horizon").fetchone()[0])

    @property
    def last(self) -> int:
        """The newest revision ever written, even if its row has been deleted."""
        row = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'log'").fetchone()
        return int(row[0]) if row else 0

    def append(self, rows: Sequence[VersionRow]) -> None:
        """Write all rows or none, durably. One statement, so that Python's interpreter lock is released once, not once
        for each row."""
        marks = ",".join(["(?,?,?,?,?)"] * len(rows))
        values = [value for row in rows for value in row]
        self._db.execute(f"INSERT INTO log VALUES {marks}", values)  # noqa: S608 (nothing but question marks)

    def delete(self, revisions: Sequence[int], horizon: int) -> None:
        """Delete rows that were replaced at or before `horizon`, and their bytes from the file and the WAL."""
        deletions = [("DELETE FROM log WHERE revision = ?", (revision,)) for revision in revisions]
        self._transact(*deletions, ("UPDATE horizon SET revision = ?", (horizon,)))
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._reserve_wal()

    def _transact(self, *statements: tuple[str, tuple[int, ...]]) -> None:
        """Run all statements or none. Some failures leave SQLite's transaction open; it is rolled back, because later
        rows must not become part of a transaction that is never committed."""
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


def damage_error(path: Path, cause: object) -> StoreError:
    """The error for a damaged database."""
    return StoreError(
        f"the state database {path} is damaged ({cause}): restore it, or start without it by `tidegate up --reset`"
    )
