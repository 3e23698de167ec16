# SPDX-License-Identifier: Apache-2.0
"""The containers of one Pod, in the order in which they start and stop.

In: a Pod. Out: its containers running, until cancelled. Called by: `instance.py`, which has one.

| containers | start | stop |
| --- | --- | --- |
| init containers | one after another; each must end with code 0 | with the Pod |
| sidecars: init containers with `restartPolicy: Always` | in their place; they keep running | last, in reverse |
| containers | all together, once the init containers are done | first |

Sidecars also stop when all containers have ended for good.

Rule: the kubelet's (pkg/kubelet/kuberuntime, computeInitContainerActions). Init containers run again if no container
of the Pod runs any more, e.g. after a restart of the host; Kubernetes requires that they can.
"""

import asyncio
from collections.abc import Callable

from tidegate.model import pods
from tidegate.model.objects import Object, key, spec
from tidegate.node.container import Container
from tidegate.node.container_spec import ContainerRole, ContainerSpec
from tidegate.node.node_context import NodeContext
from tidegate.node.pod_setup import PodSetup
from tidegate.node.port_guard import Withdrawn
from tidegate.node.status import ContainerView, InitView, Waiting

_SIDECAR_GRACE = 2.0  # seconds for sidecars to end once the containers of their Pod have ended for good


class PodContainers:
    """`main`: the containers that serve; `inits`: those before them. `gate` is open once the Pod may start."""

    def __init__(
        self,
        pod: Object,
        node: NodeContext,
        setup: PodSetup,
        gate: asyncio.Event,
        *,
        withdrawn: Withdrawn,
        changed: Callable[[], None],
    ) -> None:
        self._name = key(pod)
        self._gate = gate
        self._changed = changed
        serving = pods.serving_container(spec(pod)).get("name")

        def made(container: Object, role: ContainerRole) -> Container:
            wanted = ContainerSpec(pod, container, role, setup)
            return Container(wanted, node, gate, withdrawn=withdrawn, changed=changed)

        def role(container: Object) -> ContainerRole:
            return ContainerRole.SERVING if container["name"] == serving else ContainerRole.BESIDE

        def init_role(container: Object) -> ContainerRole:
            return ContainerRole.SIDECAR if container.get("restartPolicy") == "Always" else ContainerRole.INIT

        self.main = [made(container, role(container)) for container in spec(pod)["containers"]]
        self.inits = [made(container, init_role(container)) for container in spec(pod).get("initContainers") or ()]
        self.initialized = not self.inits or any(container.exists for container in self.main)
        known = [number for number, container in enumerate(self.inits) if container.exists]
        before = len(self.inits) if self.initialized else max(known, default=0)
        for container in self.inits[:before]:
            container.restore_end()

    @property
    def all(self) -> list[Container]:
        return [*self.inits, *self.main]

    @property
    def in_use(self) -> list[Container]:
        """The containers that a ready Pod needs."""
        return [*(container for container in self.inits if container.role is ContainerRole.SIDECAR), *self.main]

    @property
    def init_views(self) -> list[InitView]:
        return [InitView(container.view, container.role is ContainerRole.SIDECAR) for container in self.inits]

    @property
    def are_created(self) -> bool:
        """Whether nothing but the gate keeps the Pod from starting."""
        return all(container.view.created for container in self.main)

    @property
    def obstacle(self) -> str:
        """Why a container cannot be created; "" if none has failed."""
        views = [container.view for container in self.all]
        return next((f"{view.name}: {text}" for view in views if (text := _failure(view))), "")

    async def run(self) -> None:
        """Run them until cancelled, or until none is to be started any more."""
        async with asyncio.TaskGroup() as group:
            if self.inits and not self._gate.is_set():  # init containers may not run before, so only the images come
                await asyncio.gather(*(container.pull() for container in self.main))
                await self._gate.wait()
            beside: list[asyncio.Task[None]] = []
            for container in self.inits:
                if container.role is ContainerRole.SIDECAR:
                    beside.append(self._begin(group, container))
                if not self._has_failed:
                    await self._init(container)
            if not self._has_failed:
                await self._run_main()
            for task in beside:
                task.cancel()
        await self._stop_sidecars(_SIDECAR_GRACE)

    async def _init(self, container: Container) -> None:
        """Return once the next containers may start, or the Pod has failed."""
        if container.role is ContainerRole.INIT:
            await container.run()  # returns at once if it has ended under an earlier agent
        elif not self.initialized:
            await container.started()

    async def _run_main(self) -> None:
        if not self.initialized:
            self.initialized = True
            self._changed()
        async with asyncio.TaskGroup() as group:
            for container in self.main:
                self._begin(group, container)

    @property
    def _has_failed(self) -> bool:
        return any(view.has_failed for view in self.init_views)

    async def stop(self, grace: float) -> None:
        """End all. Not to be called while `run` runs."""
        others = [container for container in self.all if container.role is not ContainerRole.SIDECAR]
        await asyncio.gather(*(container.stop(grace) for container in others))
        await self._stop_sidecars(grace)

    async def _stop_sidecars(self, grace: float) -> None:
        for container in reversed(self.inits):
            if container.role is ContainerRole.SIDECAR:
                await container.stop(grace)

    def release(self) -> None:
        """Leave them to the agent that adopts them. Not to be called while `run` runs."""
        for container in self.all:
            container.release()

    def _begin(self, group: asyncio.TaskGroup, container: Container) -> asyncio.Task[None]:
        return group.create_task(container.run(), name=f"{self._name} {container.name}")


def _failure(view: ContainerView) -> str:
    state = view.state
    return f"{state.reason}: {state.message}" if isinstance(state, Waiting) and state.message else ""
