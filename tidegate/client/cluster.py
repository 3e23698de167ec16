# SPDX-License-Identifier: Apache-2.0
"""The protocol of a Kubernetes API, as every component uses it.

Implemented by the API server in process, by `client.http` over a socket, and by `client.memory` for tests. All failures
are `model.errors.ApiError`s. Returned objects are shared and must not be changed in place.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Literal, NamedTuple, Protocol

from tidegate.model.kinds import Kind
from tidegate.model.objects import Key, Object
from tidegate.model.registry.deletion import Propagation

EventType = Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]
PatchType = Literal[
    "application/merge-patch+json", "application/json-patch+json", "application/strategic-merge-patch+json"
]


class Listing(NamedTuple):
    """The objects of a kind at one resourceVersion."""

    items: list[Object]
    resource_version: str


class WatchEvent(NamedTuple):
    """A change. For DELETED, the object's last state with the resourceVersion of the deletion."""

    type: EventType
    object: Object


class Cluster(Protocol):
    """A Kubernetes API. Selectors are in the API's own syntax ("app=hello", "metadata.name=hello"); "" selects all."""

    async def get(self, kind: Kind, key: Key) -> Object: ...

    async def list(self, kind: Kind, namespace: str = "", *, labels: str = "", fields: str = "") -> Listing: ...

    def watch(
        self, kind: Kind, namespace: str = "", *, resource_version: str, labels: str = "", fields: str = ""
    ) -> AbstractAsyncContextManager[AsyncIterator[WatchEvent]]:
        """Changes after `resource_version`, in order. Raises `Expired` (at entry or while iterating) when the history
        was dropped: list again."""

    async def create(self, kind: Kind, obj: Object) -> Object: ...

    async def update(self, kind: Kind, obj: Object) -> Object:
        """Replace all but the status; `Conflict` when `obj` carries a resourceVersion that is not the newest."""

    async def update_status(self, kind: Kind, obj: Object) -> Object:
        """Replace the status alone, under the same rule."""

    async def patch(
        self,
        kind: Kind,
        key: Key,
        patch: Object | Sequence[Object],
        *,
        patch_type: PatchType = "application/merge-patch+json",
        subresource: Literal["", "status"] = "",
    ) -> Object: ...

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
        """Delete, or begin to (finalizers, a Pod's grace); `Conflict` where `uid` or `resource_version` is another."""
