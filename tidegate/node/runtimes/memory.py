# SPDX-License-Identifier: Apache-2.0
"""A runtime that runs nothing: containers that start at once, and end when they are told to. For tests of the agent and
of the parts around it.

In: a `Launch`. Out: a container in memory; `attempt` answers for its probes in place of `probes.attempt`.
"""

import asyncio
import itertools
from collections.abc import Callable, Collection, Sequence

from tidegate.kit.clock import Clock
from tidegate.node.probes import Probe, ProbeTarget
from tidegate.node.runtime import ContainerExit, Launch, LaunchRefused, PodUsage
from tidegate.node.runtimes.process.sockets import ListeningSocket


class MemoryRuntime:
    """`containers` holds those that run, by Pod and name; `launched` all that ever were."""

    def __init__(self, clock: Clock) -> None:
        self.containers: dict[tuple[str, str], MemoryContainer] = {}
        self.launched: list[Launch] = []
        self.refuse: Callable[[Launch], LaunchRefused | None] = lambda launch: None
        self.ready = True  # what probes find
        self.stubborn = False  # whether SIGTERM ends nothing
        self.used: dict[str, PodUsage] = {}  # by Pod; of others, nothing
        self.looks = 0  # how often someone asked
        self._clock = clock
        self._ids = itertools.count(1)

    async def start(self, launch: Launch) -> "MemoryContainer":
        if (refused := self.refuse(launch)) is not None:
            raise refused
        self.launched.append(launch)
        running = MemoryContainer(self, launch, f"memory://{next(self._ids)}", self._clock)
        self.containers[launch.pod, launch.container] = running
        return running

    def adopt(self, pod: str, container: str) -> "MemoryContainer | None":
        return self.containers.get((pod, container))

    def port(self, pod: str) -> int:
        return next((running.launch.port for (of, _), running in self.containers.items() if of == pod), 0)

    async def usage(self, pod: str) -> PodUsage | None:
        self.looks += 1
        return self.used.get(pod, PodUsage(0.0, 0)) if any(of == pod for of, _ in self.containers) else None

    async def forget(self, pod: str) -> None:
        for name in [name for name in self.containers if name[0] == pod]:
            self.containers[name].end(137, 9)

    async def forget_others(self, pods: Collection[str]) -> None:
        for pod in {pod for pod, _ in self.containers} - set(pods):
            await self.forget(pod)

    async def attempt(self, probe: Probe, target: ProbeTarget) -> str | None:
        """A try of any probe of any container."""
        return None if self.ready else "not ready"


class MemoryListening:
    """The port of a container in memory, which nobody else can have."""

    def __init__(self) -> None:
        self.foreign: str | None = None  # what is wrong with the listener
        self.sockets: list[ListeningSocket] = []
        self._gone = asyncio.Event()

    async def problem(self, port: int) -> str | None:
        return self.foreign

    async def opened(self) -> Sequence[ListeningSocket]:
        return self.sockets

    def lose(self, why: str) -> None:
        """Somebody else has the port from now on."""
        self.foreign = why
        self._gone.set()

    async def lost(self) -> None:
        await self._gone.wait()

    def hold(self) -> None:
        self._gone.clear()

    def look(self) -> None:
        pass

    def doubt(self) -> None:
        pass

    def silence(self) -> None:
        pass

    def release(self) -> None:
        pass


class MemoryContainer:
    """A container that does nothing but wait for its end."""

    def __init__(self, runtime: MemoryRuntime, launch: Launch, identity: str, clock: Clock) -> None:
        self.launch = launch
        self.id = identity
        self.started_at = clock.wall()
        self.terminated = False
        self.frozen = False
        self._runtime = runtime
        self._end: ContainerExit | None = None
        self._over = asyncio.Event()
        self.listening = MemoryListening()

    def end(self, code: int, signal: int = 0) -> None:
        """Its main process ends."""
        if self._end is None:
            self._end = ContainerExit(code, signal, "Completed" if code == 0 else "Error")
            self._runtime.containers.pop((self.launch.pod, self.launch.container), None)
            self._over.set()

    async def ended(self) -> ContainerExit:
        await self._over.wait()
        return self._end or ContainerExit(0)

    async def freeze(self) -> None:
        self.frozen = True

    def thaw(self) -> None:
        self.frozen = False

    async def reclaim(self) -> None:
        pass

    def terminate(self) -> None:
        self.thaw()
        self.terminated = True
        if not self._runtime.stubborn:
            self.end(143, 15)

    async def kill(self) -> None:
        self.end(137, 9)

    async def execute(self, program: Sequence[str]) -> int:
        return 0
