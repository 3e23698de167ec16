# SPDX-License-Identifier: Apache-2.0
"""All containers of this node, and their removal.

In: folders of containers. Out: `live`, by which each container is one object; nothing of a container any more. Built by
`this_host.py` and `end.py`; called by: `runtime.py`, `creation.py`, `created.py`, `running.py`.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

from tidegate.kit import mounts, trees
from tidegate.node.runtimes.oci.control_groups import ControlGroups
from tidegate.node.runtimes.oci.folders import ContainerFolder, Folders
from tidegate.node.runtimes.oci.removal import remove

_AT_ONCE = 4  # removals
_log = structlog.get_logger("node.oci")


class OciHost:
    """`live`: the objects of created and running containers, by their id."""

    def __init__(self, folders: Folders, groups: ControlGroups) -> None:
        self.folders = folders
        self.groups = groups
        self.live: dict[str, object] = {}
        self._watches: set[asyncio.Task[None]] = set()
        self._removals: dict[str, asyncio.Task[None]] = {}  # by id
        self._slots = asyncio.Semaphore(_AT_ONCE)

    def watch(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Do something in the background for as long as a container runs."""
        task = asyncio.create_task(work, name=name)
        self._watches.add(task)
        task.add_done_callback(self._watches.discard)
        task.add_done_callback(_report)

    def is_removed(self, folder: ContainerFolder) -> bool:
        """Whether it is being removed."""
        return folder.id in self._removals

    def remove_later(self, folder: ContainerFolder) -> None:
        """Remove a container in the background: it takes the runtime some 10 ms."""
        self.live.pop(folder.id, None)
        if folder.id not in self._removals:
            task = self._removals[folder.id] = asyncio.create_task(self._remove(folder), name=f"remove {folder.id}")
            task.add_done_callback(lambda _: self._removals.pop(folder.id, None))
            task.add_done_callback(_report)

    async def remove(self, folder: ContainerFolder) -> None:
        """Return when nothing of it is left."""
        self.remove_later(folder)
        await asyncio.wait([self._removals[folder.id]])

    async def remove_pod(self, pod: str) -> None:
        """Remove all containers of a Pod, and what they share."""
        await asyncio.gather(*(self.remove(folder) for folder in self.folders.of(pod)))
        await asyncio.to_thread(_remove_files, self.folders, pod)

    async def settled(self) -> None:
        """Return once no container is being removed."""
        while self._removals:
            await asyncio.wait(self._removals.values())

    async def _remove(self, folder: ContainerFolder) -> None:
        async with self._slots:
            await remove(folder, self.folders.state, self.groups)


def _remove_files(folders: Folders, pod: str) -> None:
    mounts.unmount_below(folders.pod(pod))
    trees.remove(folders.pod(pod))


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("work on a container failed", work=task.get_name(), exc_info=error)
