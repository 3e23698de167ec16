# SPDX-License-Identifier: Apache-2.0
"""A live, indexed copy of one kind: list, then watch, then notify the handlers.

In: a `Cluster`. Out: reads that cost a dict look-up, and a call of every handler with (old, new) for each change.
Called by: every part that reads objects; `client.informers` has one informer a kind, which all of them share.

The watch is authoritative. A reconciler that has just written may `learn` the answer, so that its next read has it.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

import structlog

from tidegate.client.cluster import Cluster
from tidegate.kit.backoff import Backoff
from tidegate.kit.clock import Clock, RealClock
from tidegate.model import errors
from tidegate.model.indexes import Index
from tidegate.model.kinds import Kind
from tidegate.model.objects import Key, Object, key, resource_version

Handler = Callable[[Object | None, Object | None], None]
"""Called with (None, new) on addition, (old, new) on change, (old, None) on deletion. Runs on the event loop; must only
wake something."""


class Informer:
    """The objects of one kind, kept current by `run`."""

    def __init__(
        self,
        cluster: Cluster,
        kind: Kind,
        *,
        namespace: str = "",
        labels: str = "",
        indexes: Mapping[str, Index] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.kind = kind
        self._cluster = cluster
        self._namespace = namespace
        self._labels = labels
        self._objects: dict[Key, Object] = {}
        self._indexers = dict(indexes or {})
        self._indexes: dict[str, dict[str, dict[Key, None]]] = {name: {} for name in self._indexers}
        self._handlers: list[Handler] = []
        self._seen = 0  # the newest resourceVersion of the watch
        self._synced = asyncio.Event()
        self._clock = clock or RealClock()
        self._log = structlog.get_logger("informer").bind(kind=str(kind))

    def subscribe(self, handler: Handler) -> None:
        """Call `handler` for every existing object and for every later change."""
        self._handlers.append(handler)
        for obj in list(self._objects.values()):
            handler(None, obj)

    def get(self, name: Key) -> Object | None:
        return self._objects.get(name)

    def list(self) -> Collection[Object]:
        return self._objects.values()

    def indexed(self, index: str, value: str) -> Sequence[Object]:
        """The objects whose index function gave `value`, oldest first as they were learned."""
        return [self._objects[name] for name in self._indexes[index].get(value, ())]

    def has(self, index: str, value: str) -> bool:
        """Whether any object's index function gave `value`."""
        return bool(self._indexes[index].get(value))

    async def synced(self) -> None:
        """Wait for the first list."""
        await self._synced.wait()

    def learn(self, obj: Object) -> None:
        """Store the result of a write, unless the watch has a newer version."""
        if resource_version(obj) > self._seen:
            self._apply(key(obj), obj)

    async def run(self) -> None:
        """List and watch until cancelled; start over, after a growing wait, when the watch breaks. An informer that
        failed in a handler may run again: every handler is then called for every object, because the failure may have
        hidden one.
        """
        for obj in list(self._objects.values()):
            self._notify(None, obj)
        backoff = Backoff(first=0.05, limit=10.0)
        while True:
            try:
                await self._list_and_watch(backoff)
            except errors.Expired:
                self._log.info("history expired, listing again")
            except (errors.ApiError, OSError) as error:
                delay = backoff.next(self.kind)
                self._log.warning("watch broke", error=str(error), retry_in=delay)
                await self._clock.sleep(delay)

    async def _list_and_watch(self, backoff: Backoff) -> None:
        listing = await self._cluster.list(self.kind, self._namespace, labels=self._labels)
        self._replace(listing.items, int(listing.resource_version))
        self._synced.set()
        backoff.forget(self.kind)
        version = listing.resource_version
        while True:  # a server may end a watch at any time; continue from the last version
            async with self._cluster.watch(
                self.kind, self._namespace, resource_version=version, labels=self._labels
            ) as events:
                async for event in events:
                    self._seen = max(self._seen, resource_version(event.object))
                    version = str(self._seen)
                    if event.type == "DELETED":
                        self._apply(key(event.object), None)
                    elif event.type != "BOOKMARK":
                        self._apply(key(event.object), event.object)

    def _replace(self, items: Iterable[Object], version: int) -> None:
        listed = {key(item): item for item in items}
        self._seen = version
        for name in [name for name in self._objects if name not in listed]:
            self._apply(name, None)
        for name, item in listed.items():
            self._apply(name, item)

    def _apply(self, name: Key, new: Object | None) -> None:
        old = self._objects.get(name)
        if new is None:
            if old is None:
                return
            del self._objects[name]
        else:
            if old is not None and resource_version(old) >= resource_version(new):
                return
            self._objects[name] = new
        self._reindex(name, old, new)
        self._notify(old, new)

    def _notify(self, old: Object | None, new: Object | None) -> None:
        """Call every handler, also if one of them fails; the failures are raised afterwards."""
        failures: list[Exception] = []
        for handler in self._handlers:
            try:
                handler(old, new)
            except SystemExit as error:  # exit() of an extension must not end the process
                failures.append(RuntimeError(f"exit({error})"))
            except Exception as error:
                failures.append(error)
        if failures:
            raise ExceptionGroup(f"handlers of {self.kind} failed", failures)

    def _reindex(self, name: Key, old: Object | None, new: Object | None) -> None:
        for index, values_of in self._indexers.items():
            table = self._indexes[index]
            before = set(values_of(old)) if old is not None else set()
            after = set(values_of(new)) if new is not None else set()
            for value in before - after:
                table[value].pop(name, None)
                if not table[value]:
                    del table[value]
            for value in after - before:
                table.setdefault(value, {})[name] = None
