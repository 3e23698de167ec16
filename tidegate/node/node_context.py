# SPDX-License-Identifier: Apache-2.0
"""The dependencies that all instances of this node share. `node.py` makes one."""

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tidegate.client.context import Context
from tidegate.kit.clock import Clock
from tidegate.model.objects import Key, Object, uid
from tidegate.node.archive import Archive
from tidegate.node.downward import NodeFacts
from tidegate.node.ports import PortPool
from tidegate.node.probe import Probe, ProbeTarget
from tidegate.node.runtime import Runtime

Attempt = Callable[[Probe, ProbeTarget], Awaitable[str | None]]
"""One attempt of a probe: None for a success, else the fault."""

Drained = Callable[[Key, str], Awaitable[None]]
"""(Revision, "ip:port"): returns once no gateway has a request at that endpoint."""


class PodVolumes(Protocol):
    """The volumes of this node's Pods."""

    async def set_up(self, pod: Object) -> Mapping[str, Path]:
        """Make the volumes of a Pod, or find them again; each as a folder or file of this host. Raises
        `LaunchRejected`."""

    async def changed(self, pod_uid: str) -> None:
        """Return once an object that the Pod's volumes show has changed since `set_up` began."""

    async def remove(self, pod_uid: str) -> None:
        """Remove the volumes of a Pod, after its containers."""

    async def remove_others(self, pod_uids: Collection[str]) -> None:
        """Remove the volumes of every Pod that is not in `pod_uids`."""

    async def run(self) -> None:
        """Let volumes follow their objects, until cancelled."""

    async def close(self) -> None:
        """Leave only the files that the next start of a Pod needs. No container runs any more."""


@dataclass(frozen=True, slots=True)
class NodeContext:
    """`facts`: of the Node; `folder`: one folder a Pod in it, with its logs."""

    context: Context
    facts: NodeFacts
    runtime: Runtime
    attempt: Attempt
    drained: Drained
    folder: Path
    archive: Archive
    ports: PortPool
    volumes: PodVolumes

    @property
    def name(self) -> str:
        """Of the Node."""
        return self.facts.name

    @property
    def clock(self) -> Clock:
        return self.context.clock

    async def forget(self, pod: Object) -> None:
        """End all that is left of a Pod and remove its files; its logs move to the archive."""
        await self.archive.keep(pod, self.folder / uid(pod), self.clock.wall())
        await self.forget_uid(uid(pod))

    async def forget_uid(self, pod_uid: str) -> None:
        """The same for a Pod that is known only by its uid. Its logs are removed."""
        await self.runtime.forget(pod_uid)
        await self.volumes.remove(pod_uid)

    async def forget_others(self, pod_uids: Collection[str]) -> None:
        """End all that is left of Pods that are not in `pod_uids`."""
        await self.runtime.forget_others(pod_uids)
        await self.volumes.remove_others(pod_uids)
