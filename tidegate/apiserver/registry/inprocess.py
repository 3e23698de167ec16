# SPDX-License-Identifier: Apache-2.0
"""The API for parts of the same process: a `Cluster` without a socket, in the name of one user."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Literal

from tidegate.apiserver.registry import changes
from tidegate.apiserver.registry.api import Api, WriteOptions
from tidegate.client.cluster import Listing, PatchType, WatchEvent
from tidegate.model.kinds import Kind
from tidegate.model.objects import Key, Object, key
from tidegate.model.registry import patches, selectors
from tidegate.model.registry.deletion import DeleteOptions, Propagation
from tidegate.model.user import User
from tidegate.store.watch import Watch

_STATUS = WriteOptions("status")


class InProcess:
    """Implements `client.cluster.Cluster`."""

    def __init__(self, api: Api, user: User) -> None:
        self._api = api
        self._user = user

    async def get(self, kind: Kind, key: Key) -> Object:
        return self._api.get(kind, key)

    async def list(self, kind: Kind, namespace: str = "", *, labels: str = "", fields: str = "") -> Listing:
        page = self._api.list(kind, namespace, selectors.selection(kind, labels, fields))
        return Listing(page.items, str(page.revision))

    @asynccontextmanager
    async def watch(
        self, kind: Kind, namespace: str = "", *, resource_version: str, labels: str = "", fields: str = ""
    ) -> AsyncIterator[AsyncIterator[WatchEvent]]:
        selection = selectors.selection(kind, labels, fields)
        with self._api.watch(kind, namespace, selection, since=int(resource_version)) as watch:
            yield _events(watch)

    async def create(self, kind: Kind, obj: Object) -> Object:
        namespace = obj["metadata"].get("namespace", "")
        return (await self._api.create(kind, namespace, obj, user=self._user)).object

    async def update(self, kind: Kind, obj: Object) -> Object:
        return (await self._api.update(kind, key(obj), obj, user=self._user)).object

    async def update_status(self, kind: Kind, obj: Object) -> Object:
        return (await self._api.update(kind, key(obj), obj, user=self._user, options=_STATUS)).object

    async def patch(
        self,
        kind: Kind,
        key: Key,
        patch: Object | Sequence[Object],
        *,
        patch_type: PatchType = "application/merge-patch+json",
        subresource: Literal["", "status"] = "",
    ) -> Object:
        apply = patches.parsed(kind, patch_type, patch)
        options = WriteOptions(subresource)
        return (await self._api.patch(kind, key, apply, user=self._user, options=options)).object

    async def delete(
        self,
        kind: Kind,
        key: Key,
        *,
        uid: str = "",
        resource_version: str = "",
        propagation: Propagation = "Background",
        grace_seconds: int | None = None,
    ) -> None:
        await self._api.delete(kind, key, DeleteOptions(uid, resource_version, propagation, grace_seconds))


async def _events(watch: Watch) -> AsyncIterator[WatchEvent]:
    async for change in watch:
        yield changes.event(change)
