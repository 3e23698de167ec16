# SPDX-License-Identifier: Apache-2.0
"""One container's life: started, probed, ended, started again.

In: a container of a Pod's spec, and the runtime. Out: a `ContainerState`, which the Pod's status shows. Called by:
`instance.py`, which has one for each container.

| what happens | then |
| --- | --- |
| it cannot be created or started | `creation.py` |
| it ends | no gateway sends there any more; its port is kept until none does; started again (`restarts.py`) |
| a probe fails | `prober.py` |
| its port is not its own | `port_guard.py` |
| it is frozen | not probed; the earlier findings of its probes stay |
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from tidegate.model.logs import LogOptions
from tidegate.model.objects import uid
from tidegate.node import advice
from tidegate.node.container_spec import ContainerSpec
from tidegate.node.container_state import ContainerState
from tidegate.node.creation import Creation
from tidegate.node.logs import ContainerLog
from tidegate.node.node_context import NodeContext
from tidegate.node.port_guard import PortGuard, Withdrawn
from tidegate.node.prober import Prober
from tidegate.node.restarts import Restarts, reports_port_in_use
from tidegate.node.runtime import CreatedContainer, RunningContainer
from tidegate.node.status import ContainerView, Running, Terminated, Waiting
from tidegate.node.timing import within


class Container:
    """One container of one Pod."""

    def __init__(
        self,
        container_spec: ContainerSpec,
        node: NodeContext,
        gate: asyncio.Event,
        *,
        withdrawn: Withdrawn,
        changed: Callable[[], None],
    ) -> None:
        self.name = container_spec.name
        self.role = container_spec.role
        self.log = ContainerLog(node.folder / uid(container_spec.pod), self.name)
        self._spec = container_spec
        self._node = node
        self._recorder = node.context.recorder
        self._withdrawn = withdrawn
        self._restarts = Restarts()
        self._thawed, self._frozen = asyncio.Event(), asyncio.Event()
        self._thawed.set()
        adopted = node.runtime.adopt(uid(container_spec.pod), self.name)
        created = adopted if isinstance(adopted, CreatedContainer) else None
        self._running = None if isinstance(adopted, CreatedContainer) else adopted
        image = str(container_spec.container.get("image") or "")
        self._state = ContainerState(self.name, image, container_spec.first_state, changed)
        self._state.restore(container_spec.pod, self._running)
        self._creation = Creation(container_spec, self._state, node, gate, created)

    @property
    def view(self) -> ContainerView:
        return self._state.view

    @property
    def running(self) -> RunningContainer | None:
        """Its present run; None between two runs."""
        return self._running if self._state.is_running else None

    @property
    def is_running(self) -> bool:
        return self._state.is_running

    @property
    def exists(self) -> bool:
        """Whether an earlier agent created or started it."""
        return self._running is not None or self._state.created

    def restore_end(self) -> None:
        """An init container that ended under an earlier agent does not run again."""
        self._state.restore_end()

    async def started(self) -> None:
        """Return once it has started for the first time: its startup probe has succeeded, if it has one."""
        await self._state.has_started.wait()

    def log_options(self, requested: LogOptions) -> LogOptions | None:
        """The options for the run that a request means; None if there was no such run. Between two runs, as in
        CrashLoopBackOff, the last run is meant in any case. Rule: pkg/kubelet/kubelet_pods.go,
        validateContainerLogStatus."""
        if isinstance(self._state.current, Waiting):
            return replace(requested, previous=False) if self._state.last is not None else None
        return None if requested.previous and not self._state.restarts else requested

    async def pull(self) -> None:
        """Return once its image is on this node, and the runtime accepts it."""
        await self._creation.pull()

    async def run(self) -> None:
        """Keep it running until cancelled, or until its restart policy ends it."""
        while not self._state.final:
            running = self._running = self._running or await self._creation.start()
            end = await self._live(running)
            self._running = None
            await self._wait_for_restart(end)

    def check_port(self) -> None:
        """Check whether the app still listens on its port."""
        if self._running is not None:
            self._running.listening.check()

    def release(self) -> None:
        """Leave it to the agent that adopts it. Not to be called while `run` runs."""
        if self._running is not None:
            self._running.listening.release()

    async def stop(self, grace: float) -> None:
        """Send SIGTERM; send SIGKILL to all its processes after the grace, or once its main process has ended. Not to
        be called while `run` runs."""
        await self._creation.remove()
        running = self._running
        if running is None:
            return
        self._state.set_unready()  # before it closes its port: gateways may still send there
        if grace > 0:
            running.terminate()
            await within(self._node.clock, grace, running.ended())
        await self._end(running)
        running.listening.release()
        self._running = None

    # Standby

    async def freeze(self) -> None:
        """Stop it from using CPU until `thaw`. Raises `OSError` if the host refuses."""
        self._thawed.clear()
        self._frozen.set()
        if self._running is not None:
            await self._running.freeze()

    async def reclaim(self) -> None:
        """Move the memory of a frozen container to swap, as far as the kernel can."""
        if self._running is not None:
            await self._running.reclaim()

    def thaw(self) -> None:
        """Resume it immediately. It is as ready as before."""
        if self._running is not None:
            self._running.thaw()
        self._frozen.clear()
        self._thawed.set()

    # Starts and ends

    async def _live(self, running: RunningContainer) -> Terminated:
        """From its start until none of its processes is left."""
        state = self._state
        if not (isinstance(state.current, Running) and state.current.id == running.id):
            state.current = Running(running.id, running.started_at)
        state.changed()
        port = PortGuard(self._spec, state, self._node, running, self.log, self._withdrawn)
        async with asyncio.TaskGroup() as group:
            prober = Prober(self._spec, state, self._node, running, port)
            probing = group.create_task(self._probe_while_thawed(prober), name=f"probes of {self.name}")
            await running.ended()
            running.listening.refuse_connections()
            state.set_unready()
            probing.cancel()
        end = await self._end(running)
        await port.give_up()
        return end

    async def _probe_while_thawed(self, prober: Prober) -> None:
        while True:
            await self._thawed.wait()
            async with asyncio.TaskGroup() as group:
                probing = group.create_task(prober.run(), name=f"probes of {self.name}, thawed")
                await self._frozen.wait()
                probing.cancel()

    async def _end(self, running: RunningContainer) -> Terminated:
        state = self._state
        state.ready = state.started = False
        await running.kill()
        last_lines = self.log.last_lines()
        cause = state.cause or self._port_conflict(running, last_lines)
        how = await running.ended()
        message = "\n".join(text for text in (cause, how.message or last_lines) if text)
        end = Terminated(running.id, how, message, running.started_at, self._node.clock.wall())
        state.problem = state.cause = ""
        state.move_to(end)
        return end

    def _port_conflict(self, running: RunningContainer, last_lines: str) -> str:
        """The message for an app that ended because the port that its spec names, instead of $PORT, is taken."""
        named = self._spec.named_port
        is_conflict = self._spec.serving and named != self._spec.lease.port and reports_port_in_use(last_lines)
        return advice.conflict(named) if is_conflict and running.listening.is_taken(named) else ""

    async def _wait_for_restart(self, end: Terminated) -> None:
        state, pod = self._state, self._spec.pod
        if self._spec.serving and self._restarts.needs_another_port(end):
            self._spec.lease.move()
            state.current = Waiting()
            return
        policy = self._spec.restart_policy
        if policy == "Never" or (policy == "OnFailure" and end.exit.code == 0):
            state.final = True
            state.changed()
            return
        state.last = end
        state.restarts += 1
        delay = self._restarts.delay(end)
        if not delay:
            state.current = Waiting()
            return
        metadata = pod["metadata"]
        failed = f"container={self.name} pod={metadata['name']}_{metadata.get('namespace', '')}({metadata['uid']})"
        state.move_to(Waiting("CrashLoopBackOff", f"back-off {delay:.0f}s restarting failed {failed}"))
        self._recorder.warning(pod, "BackOff", f"Back-off restarting failed container {self.name}")
        await self._node.clock.sleep(delay)
