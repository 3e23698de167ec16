# SPDX-License-Identifier: Apache-2.0
"""The dependencies that all instances of this node share. `node.py` makes one."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from tidegate.client.context import Context
from tidegate.kit.clock import Clock
from tidegate.model.objects import Key, Object, uid
from tidegate.node.archive import Archive
from tidegate.node.ports import PortPool
from tidegate.node.probe import Probe, ProbeTarget
from tidegate.node.runtime import Runtime

Attempt = Callable[[Probe, ProbeTarget], Awaitable[str | None]]
"""One attempt of a probe: None for a success, else the fault."""

Drained = Callable[[Key, str], Awaitable[None]]
"""(Revision, "ip:port"): returns once no gateway has a request at that endpoint."""


@dataclass(frozen=True, slots=True)
class NodeContext:
    """`name`: of the Node; `folder`: one folder a Pod in it, with its logs."""

    context: Context
    name: str
    runtime: Runtime
    attempt: Attempt
    drained: Drained
    folder: Path
    archive: Archive
    ports: PortPool

    @property
    def clock(self) -> Clock:
        return self.context.clock

    async def forget(self, pod: Object) -> None:
        """End all that is left of a Pod and remove its files; its logs move to the archive."""
        await self.archive.keep(pod, self.folder / uid(pod), self.clock.wall())
        await self.runtime.forget(uid(pod))
