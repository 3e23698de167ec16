# SPDX-License-Identifier: Apache-2.0
"""Watches without end, for commands that wait or follow: they continue when the server closes a watch."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing

from tidegate.client.cluster import Cluster, WatchEvent
from tidegate.model import errors
from tidegate.model.kinds import Kind
from tidegate.model.objects import Key, Object

Watching = AbstractAsyncContextManager[AsyncIterator[WatchEvent]]


async def changes(watch: Callable[[str], Watching], version: str) -> AsyncGenerator[WatchEvent, None]:
    """The events of `watch(resource_version)`, without end and without bookmarks. Raises `Expired`. Callers that may
    leave it early must close it (`aclosing`): it holds a connection."""
    while True:  # a server closes each watch after some time
        async with watch(version) as events:
            async for event in events:
                version = event.object["metadata"]["resourceVersion"]
                if event.type != "BOOKMARK":
                    yield event


async def states(cluster: Cluster, kind: Kind, key: Key) -> AsyncGenerator[Object | None, None]:
    """The object now and after each change, without end; None while it does not exist."""
    selector = f"metadata.name={key.name}"

    def watch(version: str) -> Watching:
        return cluster.watch(kind, key.namespace, resource_version=version, fields=selector)

    while True:
        listing = await cluster.list(kind, key.namespace, fields=selector)
        yield listing.items[0] if listing.items else None
        try:
            async with aclosing(changes(watch, listing.resource_version)) as events:
                async for event in events:
                    yield None if event.type == "DELETED" else event.object
        except errors.Expired:
            continue
