# SPDX-License-Identifier: Apache-2.0
"""The reading verbs of the API: get, list, watch. In: a kind and a key or a selection. Out: stored objects, which are
shared and must not be changed."""

from contextlib import AbstractContextManager

from tidegate.apiserver.registry import offload
from tidegate.model.kinds import Kind
from tidegate.model.objects import Key, Object
from tidegate.model.registry import rejections
from tidegate.model.registry.selectors import Selection
from tidegate.store.snapshot import Page
from tidegate.store.store import Store
from tidegate.store.watch import Watch

_SELECTION_WORK = 8  # the work of one term on one object, in bytes of JSON to read


class Reader:
    """Reads one store."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def get(self, kind: Kind, key: Key) -> Object:
        obj = self.store.get(kind.resource, key)
        if obj is None:
            raise rejections.not_found(kind, key.name)
        return obj

    def list(
        self,
        kind: Kind,
        namespace: str = "",
        selection: Selection | None = None,
        *,
        at: int | None = None,
        after: Key | None = None,
        limit: int = 0,
    ) -> Page:
        """The selected objects of a namespace ("": all namespaces), in key order; see `Store.page`."""
        if selection and selection.name and at is None and (namespace or not kind.namespaced):
            obj = self.store.get(kind.resource, Key(namespace, selection.name))
            return Page([obj] if obj is not None and selection(obj) else [], self.store.revision, None, 0)
        select = selection or None
        return self.store.page(kind.resource, namespace, select=select, at=at, after=after, limit=limit)

    async def list_offloaded(
        self,
        kind: Kind,
        namespace: str,
        selection: Selection,
        *,
        at: int | None = None,
        after: Key | None = None,
        limit: int = 0,
    ) -> Page:
        """The same as `list`. A thread does the work if the selection is long and the objects are many."""
        if selection.name and at is None and (namespace or not kind.namespaced):
            return self.list(kind, namespace, selection)
        snapshot = self.store.snapshot(kind.resource, namespace, at=at, after=after)
        work = _SELECTION_WORK * len(snapshot.objects) * len(selection.tests)
        return await offload.run(lambda: snapshot.page(selection or None, limit), work)

    def watch(
        self, kind: Kind, namespace: str = "", selection: Selection | None = None, *, since: int
    ) -> AbstractContextManager[Watch]:
        """The changes of the selected objects after revision `since`."""
        one = selection.name if selection and (namespace or not kind.namespaced) else ""
        key = Key(namespace, one) if one else None
        return self.store.watch(kind.resource, namespace, since=since, select=selection or None, key=key)
