# SPDX-License-Identifier: Apache-2.0
"""Removes the folders and processes of deleted Pods that a failure has left.

In: the uids of the Pods that exist or run here. Out: the other folders removed, once they are 10 min old. Called by:
`node.py`, now and then.
"""

import asyncio
from collections.abc import Set as AbstractSet
from pathlib import Path

import structlog

from tidegate.node.node_context import NodeContext

_YOUNG = 600.0
"""Seconds for which a folder without a Pod may belong to a Pod that is being created or removed."""

_log = structlog.get_logger("node")


async def remove_orphans(node: NodeContext, known: AbstractSet[str]) -> None:
    """Remove the folders of Pods that are not `known`."""
    oldest = node.clock.wall().timestamp() - _YOUNG
    for folder in await asyncio.to_thread(_folders, node.folder, oldest):
        if folder not in known:
            _log.warning("removing the folder of a deleted Pod", pod=folder)
            await node.forget_uid(folder)


def _folders(instances: Path, oldest: float) -> list[str]:
    """The folders of Pods whose entries have not changed since `oldest`."""
    return [place.name for place in instances.iterdir() if place.is_dir() and place.stat().st_mtime < oldest]
