# SPDX-License-Identifier: Apache-2.0
"""For commands that wait or follow: watches that go on when the server ends them, and the states of one object."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing

from tidegate.client.cluster import Cluster, WatchEvent
from tidegate.model import errors
from tidegate.model.kinds import Kind
from tidegate.model.objects import Key, Object

Watching = AbstractAsyncContextManager[AsyncIterator[WatchEvent]]


async def changes(watch: Callable[[str], Watching], version: str) -> AsyncGenerator[WatchEvent, None]:
    """The events of `watch(resource_version)`, without end and without bookmarks. Raises `Expired`. To be closed
    (`aclosing`) by whoever may leave it early: it holds a connection."""
    while True:  # a server ends each watch after a time
        async with watch(version) as events:
            async for event in events:
                version = event.object["metadata"]["resourceVersion"]
                if event.type != "BOOKMARK":
                    yield event


async def states(cluster: Cluster, kind: Kind, key: Key) -> AsyncGenerator[Object | None, None]:
    """The object as it is and after each change, without end; None while it is not there."""
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
