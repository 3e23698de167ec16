# SPDX-License-Identifier: Apache-2.0
"""The probes of one run of a container, as long as it is not frozen.

In: the probes of its spec, and the run. Out: whether it is started and ready, or the problem that its probes see; its
end, if its startup or liveness probe fails. Called by: `container.py`, which makes one for each run.

| what happens | then |
| --- | --- |
| the startup or liveness probe fails | the run is ended; its end names the probe and the fault |
| the readiness probe fails | not ready, until it succeeds again |
| it is not ready for 2 s | its state names the probe, the fault, and the ports on which the app listens instead |
"""

import asyncio
from dataclasses import replace

from tidegate.node import probe as probing
from tidegate.node.container_spec import ContainerSpec
from tidegate.node.container_state import ContainerState
from tidegate.node.node_context import NodeContext
from tidegate.node.port_guard import PortGuard
from tidegate.node.probe import Probe, ProbeKind, ProbeTarget, Schedule, Ticks
from tidegate.node.runtime import RunningContainer
from tidegate.node.shortages import retrying
from tidegate.node.timing import first

_LOOK_FIRST = 0.25  # seconds of failing probes until the app's sockets are looked at; then after twice as long
_LOOK_AT_LEAST_EVERY = 30.0  # seconds
_QUIET = 2.0  # seconds of failing probes before the state shows the fault


class Prober:
    """Probes one run. The state of the container outlives it."""

    def __init__(
        self, spec: ContainerSpec, state: ContainerState, node: NodeContext, running: RunningContainer, port: PortGuard
    ) -> None:
        self._spec = spec
        self._state = state
        self._attempt = node.attempt
        self._clock = node.clock
        self._recorder = node.context.recorder
        self._running = running
        self._port = port

    async def run(self) -> None:
        """Probe until cancelled, or until a startup or liveness probe has ended the run."""
        was_started = self._state.started
        startup = self._spec.probe("startup")
        if startup is not None and not was_started and not await self._succeeds("startup", startup):
            await self._end(startup)
            return
        self._state.set_started()
        async with asyncio.TaskGroup() as group:
            liveness = self._spec.probe("liveness")
            if liveness is not None:
                first_wait = probing.spread(liveness.period) if was_started else liveness.period
                first_wait += max(0.0, liveness.initial_delay - self._age())
                watching = self._watch_liveness(liveness, first_wait)
                group.create_task(watching, name=f"liveness of {self._spec.name}")
            await self._watch_readiness()  # without a turn of the loop before the first attempt

    async def _watch_liveness(self, probe: Probe, first_wait: float) -> None:
        self._state.cause = await self._fails("liveness", probe, first_wait)
        await self._end(probe)

    async def _watch_readiness(self) -> None:
        probe = self._spec.probe("readiness")
        if probe is None:
            self._state.set_ready()
            return
        if self._state.ready:  # as it was before it was adopted or frozen
            await self._port.prove()
        while True:
            if not self._state.ready:
                await self._succeeds("readiness", probe)
                await self._port.prove()
                continue
            failing = self._fails("readiness", probe, probing.spread(probe.period))
            self._state.set_unready(await first(failing, self._port.lost()))

    async def _succeeds(self, kind: ProbeKind, probe: Probe) -> bool:
        """Try until the probe succeeds. False if a startup probe has failed as often as it may."""
        clock = self._clock
        began = clock.monotonic()
        schedule = Schedule(probe, began, self._age())
        look = began + _LOOK_FIRST
        failures = successes = 0
        while True:
            if wait := schedule.wait(clock.monotonic()):
                await clock.sleep(wait)
            problem = await self._try(probe)
            successes = 0 if problem else successes + 1
            if successes >= probe.successes:
                return True
            if not problem:
                continue
            finding, now = f"{kind} probe: {problem}", clock.monotonic()
            if now >= look:
                look = now + min(now - began, _LOOK_AT_LEAST_EVERY)
                advice = await self._port.advice()
                if now - began >= _QUIET:
                    self._state.set_unready(f"{advice}. {finding}" if advice else finding)
            if schedule.counts(now):
                failures += 1
                if failures % probe.failures == 0:
                    self._report_unhealthy(kind, problem)
                    if kind == "startup":
                        # The last lines of the log follow in the message of the run's end.
                        advice = await self._port.advice(with_last_lines=False)
                        self._state.cause = f"{finding}. {advice}" if advice else finding
                        return False

    async def _fails(self, kind: ProbeKind, probe: Probe, first_wait: float) -> str:
        """Return the fault once the probe has failed in a row as often as it may. `first_wait`: seconds before the
        first attempt."""
        clock = self._clock
        ticks = Ticks(probe, clock.monotonic() + first_wait)
        failures = 0
        while True:
            await clock.sleep(ticks.wait(clock.monotonic()))
            problem = await self._try(probe)
            failures = failures + 1 if problem else 0
            if problem and failures >= probe.failures:
                self._report_unhealthy(kind, problem)
                return f"{kind} probe: {problem}"

    async def _try(self, probe: Probe) -> str | None:
        return await retrying(self._clock, lambda: self._attempt(probe, self._target()))

    def _target(self) -> ProbeTarget:
        """At an address of its own, every listener is the Pod's."""
        running, lease = self._running, self._spec.lease
        target = ProbeTarget(lease.address, self._spec.ports, running.execute)
        return replace(target, foreign=running.listening.problem) if lease.is_shared else target

    def _age(self) -> float:
        return (self._clock.wall() - self._running.started_at).total_seconds()

    def _report_unhealthy(self, kind: ProbeKind, problem: str) -> None:
        self._recorder.warning(self._spec.pod, "Unhealthy", f"{kind.capitalize()} probe failed: {problem}")

    async def _end(self, probe: Probe) -> None:
        """End the run because a probe has failed; the container is started again."""
        message = f"Container {self._spec.name} failed a probe, will be restarted"
        self._recorder.normal(self._spec.pod, "Killing", message)
        self._state.set_unready(self._state.cause)
        self._running.terminate()
        await self._clock.sleep(self._spec.grace(probe))
        await self._running.kill()
