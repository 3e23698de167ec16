# SPDX-License-Identifier: Apache-2.0
"""The objects, their versions, and who is told when they change.

In: `change` calls, each a pure decision about one object. Out: the current objects, lists as of a revision, watches.
Who: `apiserver.verbs`, and nothing else.

What holds:

- A decision sees the newest version of its object; two decisions about one object never overlap.
- A change is visible (to reads, lists and watches, all at once) when it is durable, and never before.
- Revisions rise by the order of changes, over all resources, and are never used twice.
- Watches bring every change after their revision, in order, or raise `Expired`.
- A write that fails fails alone: reads go on, and so do writes once they can. Only a broken file ends the store.

Everything current is in memory, parsed once and shared; SQLite holds the same as a log (`log.py`). Nothing done for one
change grows with the number of objects.
"""

import asyncio
import sqlite3
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Protocol, Self

import msgspec
import structlog

from tidegate.kit.supervision import Health
from tidegate.model import errors
from tidegate.model.objects import Key, Object, resource_version
from tidegate.store.log import Log, Row, code, damaged, is_damage, why
from tidegate.store.shelf import Shelf
from tidegate.store.snapshot import Page, Snapshot
from tidegate.store.watch import Change, Select, Watch
from tidegate.store.writer import Forget, Writer

HISTORY = 10_000
"""Changes that are kept for watches and lists that begin in the past, and that a watch may lag behind, at most."""

HISTORY_BYTES = 64 * 1024 * 1024
"""The JSON of the changes that are kept, at most: then fewer are."""

QUEUE = 10_000
"""Changes that a watch may have waiting before it is cut off."""

LARGEST = 3 * 512 * 1024
"""Bytes of an object's JSON, as in etcd."""

_FORGET = 1000
"""How many dead rows are dropped from the file at a time."""

Run = Callable[[Callable[[], Object | None]], Awaitable[Object | None]]
"""Calls a decision somewhere, e.g. in a thread, and returns what it decides."""

Confirm = Callable[[Object], None]
"""What must hold when a new object is taken on; raises where it does not. Must not wait."""

Decide = Callable[[Object | None], Object | None]
"""The current version (None: there is none) -> the next one: the same object for no change, None to remove it. Must not
wait, must not change what it is given; what it raises, `change` raises."""


class Account(Protocol):
    """Keeps count of what is stored. Both are called at once, in the order of revisions, and must not wait."""

    def begun(self, change: Change) -> None:
        """`change` was decided and is under way: nobody sees it yet."""

    def ended(self, change: Change, *, stored: bool) -> None:
        """`change` is durable and about to be told, or has failed."""


class Store:
    """An open store. `async with Store.open(path) as store`."""

    def __init__(self, path: Path, *, history: int, history_bytes: int, queue: int, reserve: int) -> None:
        self._path = path
        self._reserve = reserve
        self._history_limit = history
        self._history_limit_bytes = history_bytes
        self._queue_limit = queue
        self._shelves: dict[str, Shelf] = {}
        self._dependents: dict[str, dict[tuple[str, Key], None]] = {}
        self._history: deque[Change] = deque()
        self._history_sizes: deque[int] = deque()
        self._history_bytes = 0
        self._horizon = 0
        self._dead: list[int] = []
        self._watches: dict[tuple[str, Key | None], set[Watch]] = {}  # of a resource ("": all), or of one object of it
        self._under_way: dict[tuple[str, Key], asyncio.Future[Object | None]] = {}
        self._submitted: dict[int, Change] = {}
        self._accounts: list[Account] = []
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
        """The store in `path`, made if absent. Entering it raises `StoreError` when the file is locked or damaged.
        `reserve`: bytes of the file that are kept free for writes on a full disk."""
        return cls(path, history=history, history_bytes=history_bytes, queue=queue, reserve=reserve)

    async def __aenter__(self) -> Self:
        self._log = Log(self._path)
        try:
            self._load()
            self._make_reserve()
        except BaseException:
            self._log.close()
            raise
        self._writer = Writer(self._log, self._on_done)
        self._writer.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._writer.stop()
        self._log.close()
        for watch in [watch for watches in self._watches.values() for watch in watches]:
            watch.close()

    def _make_reserve(self) -> None:
        if not self._reserve:
            return
        try:
            self._log.reserve(self._reserve)
        except sqlite3.Error as error:  # the disk is full already: what there is has to do
            self._logger.warning("no room could be reserved in the state database", error=why(error))

    async def damaged(self) -> NoReturn:
        """Return never; raises `StoreError` once a commit found the file broken."""
        await self._broken.wait()
        raise damaged(self._path, self._damage) from self._damage

    def _load(self) -> None:
        self._horizon = self._log.horizon
        decode = msgspec.json.Decoder(dict).decode
        for row in self._log.rows():
            key = Key(row.namespace, row.name)
            try:
                new = None if row.value is None else decode(row.value)
            except msgspec.MsgspecError as error:
                raise damaged(self._path, f"row {row.revision}: {error}") from error
            change = Change(row.revision, row.resource, key, self.get(row.resource, key), new)
            self._apply(change, len(row.value or b""))
        self.revision = self._last = self._log.last

    # Reading

    def get(self, resource: str, key: Key) -> Object | None:
        shelf = self._shelves.get(resource)
        return shelf.objects.get(key) if shelf is not None else None

    def resources(self) -> Collection[str]:
        """The resources of which there are, or have been, objects."""
        return self._shelves.keys()

    def dependents(self, uid: str) -> Sequence[tuple[str, Key]]:
        """The objects (resource, key) whose owner references name `uid`."""
        return list(self._dependents.get(uid, ()))

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
    ) -> Snapshot:
        """The objects of a namespace ("": all) as they are, or were at revision `at`, beginning after the key `after`.
        Raises `Expired` when the history back to `at` is gone."""
        shelf = self._shelves.get(resource) or Shelf()
        revision = self.revision if at is None else at
        past = self._undone(resource, revision) if revision != self.revision else {}
        keys: Sequence[Key] = shelf.keys(namespace, after)
        if past:
            within = (key for key in past if namespace in ("", key.namespace) and (after is None or key > after))
            keys = sorted({*within, *keys})
        found = ((key, past[key] if key in past else shelf.objects[key]) for key in keys)
        return Snapshot([(key, obj) for key, obj in found if obj is not None], revision)

    def _undone(self, resource: str, at: int) -> dict[Key, Object | None]:
        """What differs at revision `at` from now."""
        return {change.key: change.old for change in reversed(self._since(at)) if change.resource == resource}

    def _since(self, revision: int) -> list[Change]:
        """The changes after `revision`, oldest first."""
        if revision < self._horizon:
            raise errors.Expired(f"too old resource version: {revision} ({self._horizon})")
        changes = list(takewhile(lambda change: change.revision > revision, reversed(self._history)))
        changes.reverse()
        return changes

    # Watching

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
        """Every change after revision `since` to a resource ("": any), or to the one object with that key. Raises
        `Expired` when that history is gone."""
        watch = Watch(namespace, select, self._queue_limit)
        watch.replay(
            change for change in self._since(since) if resource in ("", change.resource) and key in (None, change.key)
        )
        watches = self._watches.setdefault((resource, key), set())
        watches.add(watch)
        try:
            yield watch
        finally:
            watches.discard(watch)
            if not watches:
                self._watches.pop((resource, key), None)

    # Writing

    def account(self, account: Account) -> None:
        """Let `account` count every change from now on."""
        self._accounts.append(account)

    async def change(
        self, resource: str, key: Key, decide: Decide, *, run: Run | None = None, confirm: Confirm | None = None
    ) -> Object | None:
        """Put what `decide` makes of the current version in its place; returns it, as stored, once it is durable.

        `run` calls the decision, while others about this object wait; `confirm` looks at a new object after that, with
        nothing in between. Raises what these raise, and where the database cannot be written `InsufficientStorage` for
        want of room, else `ApiError` (500).
        """
        name = (resource, key)
        while (under_way := self._under_way.get(name)) is not None:
            await asyncio.wait([under_way])
        old = self.get(resource, key)
        new = decide(old) if run is None else await self._decided(name, lambda: decide(old), run)
        if new is old:
            return old
        if confirm is not None and old is None and new is not None:
            confirm(new)
        # Shielded: a caller that is cancelled does not stop a write that others wait for behind it.
        return await asyncio.shield(self._submit(resource, key, old, new))

    async def _decided(self, name: tuple[str, Key], decide: Callable[[], Object | None], run: Run) -> Object | None:
        """A decision that takes a while, about an object that is not changed meanwhile."""
        over = self._under_way[name] = asyncio.get_running_loop().create_future()
        try:
            return await run(decide)
        finally:
            del self._under_way[name]
            over.set_result(None)

    async def settled(self) -> None:
        """Return once every write that is under way now has come to its end."""
        if self._under_way:
            await asyncio.wait(list(self._under_way.values()))

    def _submit(self, resource: str, key: Key, old: Object | None, new: Object | None) -> asyncio.Future[Object | None]:
        revision = self._last + 1
        if new is not None:
            new = {**new, "metadata": {**new["metadata"], "resourceVersion": str(revision)}}
        value = None if new is None else encoded(new)
        self._last = revision
        outcome: asyncio.Future[Object | None] = asyncio.get_running_loop().create_future()
        self._under_way[resource, key] = outcome
        change = self._submitted[revision] = Change(revision, resource, key, old, new)
        for account in self._accounts:
            account.begun(change)
        self._writer.submit(Row(revision, resource, key.namespace, key.name, value))
        return outcome

    def _on_done(self, rows: Sequence[Row], error: Exception | None) -> None:
        for row in rows:
            change = self._submitted.pop(row.revision)
            outcome = self._under_way.pop((change.resource, change.key))
            for account in self._accounts:
                account.ended(change, stored=error is None)
            if error is not None:
                outcome.set_exception(_refusal(error))
                continue
            self._apply(change, len(row.value or b""))
            self.revision = change.revision
            outcome.set_result(change.new)
            for place in ((change.resource, change.key), (change.resource, None), ("", None)):
                for watch in self._watches.get(place, ()):
                    watch.offer(change, self._horizon)
        if error is None and not self._broken.is_set():
            self.health.recovered()
        elif error is not None:
            self._fail(error)
        if len(self._dead) >= _FORGET:
            self._forget()

    async def compact(self, revision: int) -> None:
        """Drop the history up to `revision`; return once the files hold nothing of it."""
        while self._history and self._history[0].revision <= revision:
            self._drop_oldest()
        if self._dead:
            forgotten = asyncio.Event()
            self._forget(forgotten.set)
            await forgotten.wait()

    def _forget(self, done: Callable[[], None] | None = None) -> None:
        self._writer.submit(Forget(self._dead, self._horizon, done))
        self._dead = []

    def _fail(self, error: Exception) -> None:
        self.health.failed(_refusal(error))
        if is_damage(error):
            self._damage = error
            self._broken.set()

    def _apply(self, change: Change, size: int) -> None:
        shelf = self._shelves.get(change.resource)
        if shelf is None:
            shelf = self._shelves[change.resource] = Shelf()
        shelf.put(change.key, change.new)
        self._index_owners(change)
        if change.revision > self._horizon:
            self._remember(change, size)

    def _remember(self, change: Change, size: int) -> None:
        self._history.append(change)
        self._history_sizes.append(size)
        self._history_bytes += size
        while len(self._history) > self._history_limit or self._history_bytes > self._history_limit_bytes:
            self._drop_oldest()

    def _index_owners(self, change: Change) -> None:
        before, after = set(_owners(change.old)), set(_owners(change.new))
        name = (change.resource, change.key)
        for uid in before - after:
            self._dependents[uid].pop(name)
            if not self._dependents[uid]:
                del self._dependents[uid]
        for uid in after - before:
            self._dependents.setdefault(uid, {})[name] = None

    def _drop_oldest(self) -> None:
        """Drop the oldest change: nobody can ask any more for what it replaced."""
        change = self._history.popleft()
        self._history_bytes -= self._history_sizes.popleft()
        self._horizon = change.revision
        if change.old is not None:
            self._dead.append(resource_version(change.old))
        if change.new is None:
            self._dead.append(change.revision)


def _refusal(error: Exception) -> errors.ApiError:
    """What the caller of a write that failed gets."""
    kind = errors.InsufficientStorage if code(error) == sqlite3.SQLITE_FULL else errors.ApiError
    return kind(f"the state database could not be written: {why(error)}")


def _owners(obj: Object | None) -> Iterator[str]:
    if obj is not None:
        for reference in obj["metadata"].get("ownerReferences") or ():
            yield reference["uid"]


def encoded(obj: Object) -> bytes:
    """The JSON that is stored of an object. Raises `BadRequest` where there is none, `TooLarge` where it is long."""
    try:
        value = msgspec.json.encode(obj)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise errors.BadRequest(f"the object cannot be written as JSON: {error}") from error
    if len(value) > LARGEST:
        raise errors.TooLarge(f"the object is too large: {len(value)} bytes, the limit is {LARGEST}")
    return value
