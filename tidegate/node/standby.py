# SPDX-License-Identifier: Apache-2.0
"""The standby of one instance: drained, frozen, its memory moved to swap; thawed at once when it is needed.

In: whether standby is wanted (the Pod's label, or a part that cannot wait for the label) and whether the
containers are ready. Out: frozen or thawed containers, and the `StandbyState` for the Pod's status. Called by:
`instance.py`, which has one.

| standby is wanted | containers | then |
| --- | --- | --- |
| yes | starting, or ended | they run until they are ready |
| yes | ready | they are frozen once no gateway has a request there and no client has a session |
| no | any | they run |

A frozen container is not probed: it could not answer.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager

import structlog

from tidegate.model import pods
from tidegate.model.objects import Object
from tidegate.node.container import Container
from tidegate.node.status import StandbyState

_log = structlog.get_logger("node")


class Standby:
    """`drained` returns once no gateway has a request at the instance; `changed` is called after each change of
    `state`."""

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
        self._freezing: asyncio.Task[None] | None = None
        self._group: asyncio.TaskGroup | None = None
        self._holds = 0

    @property
    def _are_ready(self) -> bool:
        return all(container.view.ready for container in self._containers)

    @property
    def state(self) -> StandbyState:
        if self._frozen:
            return StandbyState.FROZEN
        return StandbyState.WANTED if self._wanted else StandbyState.NONE

    async def begin(self, group: asyncio.TaskGroup) -> None:
        """Work from now on, with tasks of `group`. An earlier agent may have frozen or thawed some of the processes:
        all are frozen here, so that the state is known."""
        if self._wanted or self._frozen:
            was_frozen = self._frozen
            self._frozen = await self._freeze() and was_frozen
            if not self._frozen:
                self._thaw()
        self._group = group
        self.update()

    def end(self) -> None:
        """Thaw it: the instance is about to be stopped, and its app must run for that."""
        self._group = None
        self._resume()

    def want(self, wanted: bool) -> None:
        if wanted != self._wanted:
            self._wanted = wanted
            self.update()
            self._changed()

    def update(self) -> None:
        """Begin to freeze, or thaw at once, as `want` and the containers require now."""
        if self._group is None:
            return
        if self._holds or not (self._wanted and self._are_ready):
            self._resume()
        elif self._freezing is None and not self._frozen:
            self._freezing = self._group.create_task(self._drain_and_freeze(), name=f"{self._name} standby")

    @contextmanager
    def held(self) -> Iterator[None]:
        """Do not freeze it: a client has a session with it."""
        self._holds += 1
        self.update()
        try:
            yield
        finally:
            self._holds -= 1
            self.update()

    def _resume(self) -> None:
        if self._freezing is not None or self._frozen:
            if self._freezing is not None:
                self._freezing.cancel()
            self._freezing, self._frozen = None, False
            # The gateway hears of it in this turn of the loop and passes it on in the next: the thaw comes after that.
            # It takes a quarter of a millisecond, and requests that arrive meanwhile wait in the kernel.
            loop = asyncio.get_running_loop()
            loop.call_soon(loop.call_soon, self._thaw)

    async def _drain_and_freeze(self) -> None:
        await self._drained()
        if await self._freeze():
            self._frozen = True
            self._changed()
            await asyncio.gather(*(container.reclaim() for container in self._containers))
        else:
            self._thaw()

    async def _freeze(self) -> bool:
        """False if the host refuses."""
        try:
            await asyncio.gather(*(container.freeze() for container in self._containers))
        except OSError as error:
            _log.warning("cannot freeze instance; it stays running on standby", pod=self._name, error=str(error))
            return False
        return True

    def _thaw(self) -> None:
        for container in self._containers:
            container.thaw()
