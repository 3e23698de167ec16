# SPDX-License-Identifier: Apache-2.0
"""The objects and their versions: reads from memory, durable writes, watches.

In: `change` calls; each is a pure decision about one object. Out: the current objects, lists as of a revision, watches.
Called by: `apiserver`.

Guarantees:

- A decision gets the newest version of its object; two decisions about one object never overlap.
- A change becomes visible when it is durable, never before: to reads, lists and watches at the same time.
- Revisions rise in the order of changes, over all resources, and are never used twice.
- A watch gets every change after its revision, in order, or raises `Expired`.
- A failed write affects only its caller: reads continue, and later writes succeed when the cause has passed. Only a
  damaged file stops the store.

All current objects are in memory, parsed once and shared; SQLite holds them as a log (`database.py`). The work for one
change does not grow with the number of objects.
"""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Protocol, Self

import msgspec
import structlog

from tidegate.kit.supervision import Health
from tidegate.model import errors
from tidegate.model.objects import Key, Object
from tidegate.store.database import Database, VersionRow, damage_error, is_damage, reason, result_code
from tidegate.store.encoding import encoded
from tidegate.store.history import History
from tidegate.store.objects import CurrentObjects
from tidegate.store.snapshot import Page, ResourceSnapshot
from tidegate.store.watch import Change, Select, Watch
from tidegate.store.watches import Watches
from tidegate.store.writer import RowDeletion, WriterThread

HISTORY = 10_000
"""Changes kept for watches and lists that begin in the past; also how far a watch may lag behind."""

HISTORY_BYTES = 64 * 1024 * 1024
"""Limit on the JSON of the kept changes, in bytes; beyond it fewer changes are kept."""

QUEUE = 10_000
"""Changes that may wait in a watch's queue before the watch is closed."""

_DELETE_ROWS = 1000
"""Obsolete rows that are deleted from the file together."""

RunDecision = Callable[[Callable[[], Object | None]], Awaitable[Object | None]]
"""Calls a decision somewhere, e.g. in a thread, and returns its result."""

Confirm = Callable[[Object], None]
"""The last check of a new object; raises to reject it. Must not wait."""

Decide = Callable[[Object | None], Object | None]
"""The current version (None: there is none) -> the next version; the same object for no change, None to delete it. Must
not wait and must not modify its argument. `change` raises its exceptions."""


class CommitObserver(Protocol):
    """Is notified of every write, in the order of revisions. Its methods must not wait."""

    def begun(self, change: Change) -> None:
        """`change` is decided and is being committed; it is not visible yet."""

    def ended(self, change: Change, *, stored: bool) -> None:
        """`change` is durable and is about to become visible, or it has failed."""


class Store:
    """An open store. `async with Store.open(path) as store`."""

    def __init__(self, path: Path, *, history: History, queue: int, reserve: int) -> None:
        self._path = path
        self._reserve = reserve
        self._queue_limit = queue
        self._objects = CurrentObjects()
        self._history = history
        self._watches = Watches()
        self._pending: dict[tuple[str, Key], asyncio.Future[Object | None]] = {}
        self._submitted: dict[int, Change] = {}
        self._observers: list[CommitObserver] = []
        self._logger = structlog.get_logger("store")
        self._broken = asyncio.Event()
        self._damage: Exception | None = None
        self.health = Health("store")
        """Whether the last commit succeeded."""
        self.revision = 0
        """The newest visible revision."""

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        history: int = HISTORY,
        history_bytes: int = HISTORY_BYTES,
        queue: int = QUEUE,
        reserve: int = 0,
    ) -> Self:
        """The store in `path`, which is created if it does not exist. Entering it raises `StoreError` if the file is
        locked or damaged. `reserve`: bytes of the file that are kept free for writes while the disk is full."""
        return cls(path, history=History(history, history_bytes), queue=queue, reserve=reserve)

    async def __aenter__(self) -> Self:
        self._database = Database(self._path)
        try:
            self._load()
            self._make_reserve()
        except BaseException:
            self._database.close()
            raise
        self._writer = WriterThread(self._database, self._on_done)
        self._writer.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._writer.stop()
        self._database.close()
        self._watches.close()

    def _make_reserve(self) -> None:
        if not self._reserve:
            return
        try:
            self._database.reserve(self._reserve)
        except sqlite3.Error as error:  # the disk is full already: start without a reserve
            self._logger.warning("cannot reserve room in the state database", error=reason(error))

    async def damaged(self) -> NoReturn:
        """Wait; raise `StoreError` when a commit finds the file damaged."""
        await self._broken.wait()
        raise damage_error(self._path, self._damage) from self._damage

    def _load(self) -> None:
        self._history.horizon = self._database.horizon
        decode = msgspec.json.Decoder(dict).decode
        for row in self._database.rows():
            key = Key(row.namespace, row.name)
            try:
                new = None if row.value is None else decode(row.value)
            except msgspec.MsgspecError as error:
                raise damage_error(self._path, f"row {row.revision}: {error}") from error
            change = Change(row.revision, row.resource, key, self.get(row.resource, key), new)
            self._apply(change, len(row.value or b""))
        self.revision = self._last = self._database.last

    # Reading

    def get(self, resource: str, key: Key) -> Object | None:
        return self._objects.get(resource, key)

    def resources(self) -> Collection[str]:
        """The resources that have, or have had, objects."""
        return self._objects.resources()

    def dependents(self, uid: str) -> Sequence[tuple[str, Key]]:
        """The objects (resource, key) whose owner references name `uid`."""
        return self._objects.dependents(uid)

    def page(
        self,
        resource: str,
        namespace: str = "",
        *,
        select: Select | None = None,
        at: int | None = None,
        after: Key | None = None,
        limit: int = 0,
    ) -> Page:
        """The selected objects of a `snapshot`."""
        return self.snapshot(resource, namespace, at=at, after=after).page(select, limit)

    def snapshot(
        self, resource: str, namespace: str = "", *, at: int | None = None, after: Key | None = None
    ) -> ResourceSnapshot:
        """The objects of a namespace ("": all) now or at revision `at`, from the first key beyond `after`. Raises
        `Expired` if the history back to `at` was dropped."""
        objects = self._objects.of(resource)
        revision = self.revision if at is None else at
        past = self._history.versions_at(resource, revision) if revision != self.revision else {}
        keys: Sequence[Key] = objects.keys(namespace, after)
        if past:
            within = (key for key in past if namespace in ("", key.namespace) and (after is None or key > after))
            keys = sorted({*within, *keys})
        found = ((key, past[key] if key in past else objects.by_key[key]) for key in keys)
        return ResourceSnapshot([(key, obj) for key, obj in found if obj is not None], revision)

    @contextmanager
    def watch(
        self,
        resource: str,
        namespace: str = "",
        *,
        since: int,
        select: Select | None = None,
        key: Key | None = None,
    ) -> Iterator[Watch]:
        """Every change after revision `since` to a resource ("": to any), or to the object with that key. Raises
        `Expired` if that history was dropped."""
        watch = Watch(namespace, select, self._queue_limit)
        watch.replay(
            change
            for change in self._history.since(since)
            if resource in ("", change.resource) and key in (None, change.key)
        )
        with self._watches.opened(watch, resource, key):
            yield watch

    # Writing

    def observe(self, observer: CommitObserver) -> None:
        """Notify `observer` of every write from now on."""
        self._observers.append(observer)

    async def change(
        self, resource: str, key: Key, decide: Decide, *, run: RunDecision | None = None, confirm: Confirm | None = None
    ) -> Object | None:
        """Replace the current version by the result of `decide`; return it, as stored, when it is durable.

        `run` calls the decision; other writes of this object wait meanwhile. `confirm` then checks a new object, and
        nothing runs between that check and the write. Raises their exceptions. If the database cannot be written,
        raises `InsufficientStorage` for a full disk, else `ApiError` (500).
        """
        name = (resource, key)
        while (pending := self._pending.get(name)) is not None:
            await asyncio.wait([pending])
        old = self.get(resource, key)
        new = decide(old) if run is None else await self._decided(name, lambda: decide(old), run)
        if new is old:
            return old
        if confirm is not None and old is None and new is not None:
            confirm(new)
        # Shielded: cancelling one caller must not stop a write that other callers wait for.
        return await asyncio.shield(self._submit(resource, key, old, new))

    async def _decided(
        self, name: tuple[str, Key], decide: Callable[[], Object | None], run: RunDecision
    ) -> Object | None:
        """The result of a slow decision; the object cannot change meanwhile."""
        over = self._pending[name] = asyncio.get_running_loop().create_future()
        try:
            return await run(decide)
        finally:
            del self._pending[name]
            over.set_result(None)

    async def settled(self) -> None:
        """Wait until every write that is pending now has ended."""
        if self._pending:
            await asyncio.wait(list(self._pending.values()))

    def _submit(self, resource: str, key: Key, old: Object | None, new: Object | None) -> asyncio.Future[Object | None]:
        revision = self._last + 1
        if new is not None:
            new = {**new, "metadata": {**new["metadata"], "resourceVersion": str(revision)}}
        value = None if new is None else encoded(new)
        self._last = revision
        result: asyncio.Future[Object | None] = asyncio.get_running_loop().create_future()
        self._pending[resource, key] = result
        change = self._submitted[revision] = Change(revision, resource, key, old, new)
        for observer in self._observers:
            observer.begun(change)
        self._writer.submit(VersionRow(revision, resource, key.namespace, key.name, value))
        return result

    def _on_done(self, rows: Sequence[VersionRow], error: Exception | None) -> None:
        for row in rows:
            change = self._submitted.pop(row.revision)
            result = self._pending.pop((change.resource, change.key))
            for observer in self._observers:
                observer.ended(change, stored=error is None)
            if error is not None:
                result.set_exception(_write_error(error))
                continue
            self._apply(change, len(row.value or b""))
            self.revision = change.revision
            result.set_result(change.new)
            self._watches.offer(change, self._history.horizon)
        if error is None and not self._broken.is_set():
            self.health.recovered()
        elif error is not None:
            self._fail(error)
        if self._history.obsolete >= _DELETE_ROWS:
            self._delete_obsolete()

    async def compact(self, revision: int) -> None:
        """Drop the history up to `revision`; return when the files hold nothing of it."""
        self._history.drop_until(revision)
        if self._history.obsolete:
            deleted = asyncio.Event()
            self._delete_obsolete(deleted.set)
            await deleted.wait()

    def _delete_obsolete(self, done: Callable[[], None] | None = None) -> None:
        self._writer.submit(RowDeletion(self._history.take_obsolete(), self._history.horizon, done))

    def _fail(self, error: Exception) -> None:
        self.health.failed(_write_error(error))
        if is_damage(error):
            self._damage = error
            self._broken.set()

    def _apply(self, change: Change, size: int) -> None:
        self._objects.apply(change)
        if change.revision > self._history.horizon:
            self._history.append(change, size)


def _write_error(error: Exception) -> errors.ApiError:
    """The error for the caller of a failed write."""
    kind = errors.InsufficientStorage if result_code(error) == sqlite3.SQLITE_FULL else errors.ApiError
    return kind(f"the state database could not be written: {reason(error)}")
