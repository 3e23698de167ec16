# SPDX-License-Identifier: Apache-2.0
"""Changes of the store: as watch events of the API, and for parts that follow all of them."""

from collections.abc import Callable

from tidegate.client.cluster import WatchEvent
from tidegate.model import errors
from tidegate.store.store import Store
from tidegate.store.watch import Change


def event(change: Change) -> WatchEvent:
    """A deleted object comes in its last state, with the revision of its deletion."""
    if change.new is None:
        if change.old is None:
            raise ValueError(f"a change of {change.key} from nothing to nothing")
        metadata = {**change.old["metadata"], "resourceVersion": str(change.revision)}
        return WatchEvent("DELETED", {**change.old, "metadata": metadata})
    if change.old is None:
        return WatchEvent("ADDED", change.new)
    return WatchEvent("MODIFIED", change.new)


async def follow(store: Store, relist: Callable[[], None], on_change: Callable[[Change], None]) -> None:
    """Call `relist`, which reads all objects, then `on_change` with every change until the store closes. If the calls
    fall too far behind the changes, begin again with `relist`."""
    while True:
        with store.watch("", since=store.revision) as watch:
            relist()
            try:
                async for change in watch:
                    on_change(change)
            except errors.Expired:
                continue
        return
