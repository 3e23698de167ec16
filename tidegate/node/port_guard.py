# SPDX-License-Identifier: Apache-2.0
"""The port of one run of a container: proof that the app itself listens there, its loss, its release.

In: the run and the lease of its instance's port. Out: a container that is ready only while its port is its own; advice
for an app that listens elsewhere. Called by: `prober.py`, and `container.py` at the run's end.

| what happens | then |
| --- | --- |
| another program listens on the port | not ready; checked again |
| the app does not listen on the port any more | not ready; the port is kept until no gateway sends there |
| the app listens on the port of its spec instead of $PORT | that port is its port, if no other instance has it |
"""

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from tidegate.node import advice
from tidegate.node.container_spec import ContainerSpec
from tidegate.node.container_state import ContainerState
from tidegate.node.logs import ContainerLog
from tidegate.node.node_context import NodeContext
from tidegate.node.runtime import RunningContainer
from tidegate.node.shortages import retrying
from tidegate.node.timing import within

Withdrawn = Callable[[], Coroutine[Any, Any, None]]
"""Returns once no gateway sends to the port of an instance that is not ready."""

_UNPROVEN = 0.05  # seconds until a port that another program has is checked again
_WITHDRAWN_WITHIN = 5.0  # seconds that gateways have to stop sending to a port; a hanging gateway sends nothing


class PortGuard:
    """Keeps the port of one run. Containers without requests have no port: every check succeeds."""

    def __init__(
        self,
        spec: ContainerSpec,
        state: ContainerState,
        node: NodeContext,
        running: RunningContainer,
        log: ContainerLog,
        withdrawn: Withdrawn,
    ) -> None:
        self._spec = spec
        self._lease = spec.lease
        self._state = state
        self._clock = node.clock
        self._listening = running.listening
        self._log = log
        self._withdrawn = withdrawn

    async def prove(self) -> None:
        """Make the container ready if its port is its own. This holds for every kind of probe."""
        look = partial(self._listening.problem, self._lease.port)
        problem = await retrying(self._clock, look) if self._spec.serving else None
        if problem is None:
            self._listening.hold_port()
            self._state.set_ready()
        else:
            self._state.set_unready(f"{self._lease.endpoint}: {problem}")
            await self._clock.sleep(_UNPROVEN)

    async def lost(self) -> str:
        """Return the problem once the container has stopped listening on its port and no gateway sends there."""
        listening = self._listening
        while True:
            await listening.lost()
            listening.invalidate()
            try:
                if await listening.problem(self._lease.port) is not None:
                    break
            except OSError:  # without a look there is no proof
                break
            listening.hold_port()
        self._state.set_unready(f"{self._lease.endpoint}: the app does not listen there any more")
        listening.refuse_connections()
        await self.give_up()
        return self._state.problem

    async def give_up(self) -> None:
        """Let other programs have the port, once no gateway sends there."""
        if self._spec.serving:
            await within(self._clock, _WITHDRAWN_WITHIN, self._withdrawn())
        self._listening.release()

    async def advice(self, *, with_last_lines: bool = True) -> str:
        """Where the app listens instead of $PORT, and what to do; "" if it listens on $PORT. If it has the port that
        its spec names, and no other instance has that, it is the instance's port from now on."""
        return await retrying(self._clock, partial(self._advice, self._log.last_lines() if with_last_lines else ""))

    async def _advice(self, last_lines: str) -> str:
        lease, listening = self._lease, self._listening
        if not self._spec.serving or await listening.problem(lease.port) is None:
            return ""
        named = self._spec.named_port
        is_free = named != lease.port and not lease.is_of_another(named)
        if is_free and await listening.problem(named) is None:
            lease.replace(named)
            self._state.changed()
            return ""
        opened = await listening.opened()
        own = None if opened is None else [each for each in opened if not lease.is_of_another(each.port)]
        return advice.of(lease, own, last_lines)
