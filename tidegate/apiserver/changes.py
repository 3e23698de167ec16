# SPDX-License-Identifier: Apache-2.0
"""A change of the store as a watch event of the API."""

from tidegate.client.cluster import WatchEvent
from tidegate.store.watch import Change


def event(change: Change) -> WatchEvent:
    """An object that went is told in its last state, with the revision at which it went."""
    if change.new is None:
        if change.old is None:
            raise ValueError(f"a change of {change.key} from nothing to nothing")
        metadata = {**change.old["metadata"], "resourceVersion": str(change.revision)}
        return WatchEvent("DELETED", {**change.old, "metadata": metadata})
    if change.old is None:
        return WatchEvent("ADDED", change.new)
    return WatchEvent("MODIFIED", change.new)
