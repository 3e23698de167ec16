# SPDX-License-Identifier: Apache-2.0
"""How one instance goes to its standby and comes back: drained, frozen, its memory given back; thawed at once.

In: whether it is wanted (the Pod's label, or who cannot wait for it) and whether its containers are ready. Out: frozen
or thawed containers, and what the Pod's status says of it (`rest`). Who: `instance`, which has one.

| wanted on standby | containers | then |
| --- | --- | --- |
| yes | starting, or ended | they run, until they are ready |
| yes | ready | once no gateway has a request there, they are frozen |
| no | any | they run |

What is frozen is not probed: it could not answer.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from tidegate.model import pods
from tidegate.model.objects import Object
from tidegate.node.container import Container
from tidegate.node.status import StandbyState

_log = structlog.get_logger("node")


class Standby:
    """`drained` returns once no gateway has a request at the instance; `changed` is called when `rest` is another."""

    def __init__(
        self,
        pod: Object,
        containers: Sequence[Container],
        *,
        drained: Callable[[], Awaitable[None]],
        changed: Callable[[], None],
    ) -> None:
        self._name = pod["metadata"]["name"]
        self._containers = containers
        self._drained = drained
        self._changed = changed
        self._wanted = pods.is_standby(pod)
        self._frozen = pods.is_frozen(pod) and self._are_ready
        self._going: asyncio.Task[None] | None = None
        self._group: asyncio.TaskGroup | None = None

    @property
    def _are_ready(self) -> bool:
        return all(container.view.ready for container in self._containers)

    @property
    def rest(self) -> StandbyState:
        if self._frozen:
            return StandbyState.FROZEN
        return StandbyState.WANTED if self._wanted else StandbyState.NONE

    async def begin(self, group: asyncio.TaskGroup) -> None:
        """From here on, bring about what is wanted. What an earlier agent has frozen may not be known to be, or have
        been thawed: it is frozen here, so that all of it is known."""
        if self._wanted or self._frozen:
            was_frozen = self._frozen
            self._frozen = await self._freeze() and was_frozen
            if not self._frozen:
                self._thaw()
        self._group = group
        self.settle()

    def end(self) -> None:
        """The instance is to go, for which it has to run."""
        self._group = None
        self._come_back()

    def want(self, wanted: bool) -> None:
        if wanted != self._wanted:
            self._wanted = wanted
            self.settle()
            self._changed()

    def settle(self) -> None:
        """Set out for the standby, or come back at once, by what is wanted and how the containers are now."""
        if self._group is None:
            return
        if not (self._wanted and self._are_ready):
            self._come_back()
        elif self._going is None and not self._frozen:
            self._going = self._group.create_task(self._go(), name=f"{self._name} standby")

    def _come_back(self) -> None:
        if self._going is not None or self._frozen:
            if self._going is not None:
                self._going.cancel()
            self._going, self._frozen = None, False
            # After who hears of it now has passed that on, a turn of the loop from here: it costs a quarter of a
            # millisecond, and what is sent there meanwhile waits in the kernel.
            loop = asyncio.get_running_loop()
            loop.call_soon(loop.call_soon, self._thaw)

    async def _go(self) -> None:
        await self._drained()
        if await self._freeze():
            self._frozen = True
            self._changed()
            await asyncio.gather(*(container.reclaim() for container in self._containers))
        else:
            self._thaw()

    async def _freeze(self) -> bool:
        """Whether the host lets us."""
        try:
            await asyncio.gather(*(container.freeze() for container in self._containers))
        except OSError as error:
            _log.warning("cannot be frozen: it stands by and runs", pod=self._name, error=str(error))
            return False
        return True

    def _thaw(self) -> None:
        for container in self._containers:
            container.thaw()
