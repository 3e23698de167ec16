# SPDX-License-Identifier: Apache-2.0
"""From a container's spec to a run of it: prepared, created, started.

In: a container of a Pod's spec; the gate, which is open once its Pod may start. Out: a `RunningContainer`; until then a
state that says why there is none. Called by: `container.py`, which has one.

| what fails | state | then |
| --- | --- | --- |
| the image cannot be pulled | ErrImagePull, then ImagePullBackOff | retried after `START_WAITS` |
| anything else | Waiting with the runtime's reason | retried after `START_WAITS` |

A container of a prepared Pod may wait for its start for days. If a ConfigMap or Secret of its environment has changed
meanwhile, or the container has died, it is created again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import TypeVar

from tidegate.kit.backoff import Backoff
from tidegate.node.container_spec import ContainerSpec
from tidegate.node.container_state import ContainerState
from tidegate.node.environment import Environment, has_references
from tidegate.node.node_context import NodeContext
from tidegate.node.restarts import START_WAITS
from tidegate.node.runtime import CreatedContainer, LaunchRejected, RunningContainer
from tidegate.node.status import Waiting

T = TypeVar("T")

_PULL_FAILED, _PULL_WAITS = "ErrImagePull", "ImagePullBackOff"


class Creation:
    """The starts of one container. `created`: as an earlier agent created it."""

    def __init__(
        self,
        spec: ContainerSpec,
        state: ContainerState,
        node: NodeContext,
        gate: asyncio.Event,
        created: CreatedContainer | None,
    ) -> None:
        self._spec = spec
        self._state = state
        self._node = node
        self._recorder = node.context.recorder
        self._gate = gate
        self._created = created
        self._variables: Mapping[str, str] | None = None  # of the created container; None: unknown
        self._waits = Backoff(*START_WAITS)
        state.created = created is not None

    async def pull(self) -> None:
        """Return once the image is on this node and the runtime accepts the container."""

        async def once() -> None:
            prepared = await self._node.runtime.prepare(self._spec.launch)
            self._state.image_id = prepared.image_id
            self._set_created(True)

        await self._until_accepted(once)

    async def start(self) -> RunningContainer:
        """Create the container, and start it once the gate is open."""
        return await self._until_accepted(self._start)

    async def remove(self) -> None:
        """Remove a container that is created and not started. Not to be called while `start` runs."""
        if self._created is not None:
            await self._created.remove()
            self._created = None

    async def _start(self) -> RunningContainer:
        has_waited = self._created is not None or not self._gate.is_set()
        created = self._created or await self._create()
        if not self._gate.is_set():
            if self._variables is None and has_references(self._spec.container):
                created = await self._create_again()
            self._set_created(True)
            await self._gate.wait()
            if has_references(self._spec.container) and await self._environment() != self._variables:
                created = await self._create_again()
        try:
            return await self._run(created)
        except LaunchRejected:
            if not has_waited:
                raise
        return await self._run(await self._create())  # it has died while it waited; a request waits now

    async def _run(self, created: CreatedContainer) -> RunningContainer:
        self._created, self._state.created = None, False
        running = await created.start()
        self._report("Started", f"Started container {self._spec.name}")
        return running

    async def _create(self) -> CreatedContainer:
        prepared = await self._node.runtime.prepare(self._spec.launch)
        self._state.image_id = prepared.image_id
        self._variables = await self._environment()
        created = self._created = await prepared.create(self._variables)
        self._report("Created", f"Created container: {self._spec.name}")
        return created

    async def _create_again(self) -> CreatedContainer:
        self._set_created(False)
        await self.remove()
        return await self._create()

    async def _environment(self) -> Mapping[str, str]:
        spec, node = self._spec, self._node
        environment = Environment(node.context.cluster, spec.pod, replace(node.facts, address=spec.lease.address))
        return await environment.of(spec.container, spec.fixed_variables)

    async def _until_accepted(self, step: Callable[[], Awaitable[T]]) -> T:
        while True:
            try:
                result = await step()
            except LaunchRejected as rejection:
                self._state.created = False
                self._reject(rejection)
                await self._node.clock.sleep(self._waits.next(""))
            else:
                self._waits.forget("")
                return result

    def _reject(self, rejection: LaunchRejected) -> None:
        pod, image = self._spec.pod, self._spec.launch.image
        self._state.move_to(Waiting(rejection.reason, rejection.message))
        if rejection.reason == _PULL_WAITS:
            self._recorder.normal(pod, "BackOff", f'Back-off pulling image "{image}"')
        elif rejection.reason == _PULL_FAILED:
            self._recorder.warning(pod, "Failed", f'Failed to pull image "{image}": {rejection.message}')
        else:
            self._recorder.warning(pod, "Failed", f"Error: {rejection.reason}: {rejection.message}")

    def _set_created(self, created: bool) -> None:
        if created != self._state.created:
            self._state.created = created
            self._state.changed()

    def _report(self, reason: str, message: str) -> None:
        """An Event of a container. A process is created and started in one step, which its Pod reports."""
        if not self._spec.lease.is_shared:
            self._recorder.normal(self._spec.pod, reason, message)
