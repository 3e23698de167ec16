# SPDX-License-Identifier: Apache-2.0
"""A runtime without processes: containers start at once, and end when a test says so. For tests of the agent and of the
parts around it.

In: a `Launch`. Out: a container in memory; `attempt` answers its probes in place of `attempts.attempt`.
"""

import asyncio
import itertools
import socket
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from tidegate.kit.clock import Clock
from tidegate.model.objects import Object, uid
from tidegate.node.probe import Probe, ProbeTarget
from tidegate.node.runtime import ContainerExit, Launch, LaunchRejected, ListeningSocket, PodUsage, Stdio


class MemoryRuntime:
    """`containers`: the running ones, by Pod and name; `launched`: all that ever started; `environments`: the
    variables of all that were ever created."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.containers: dict[tuple[str, str], MemoryContainer] = {}
        self.launched: list[Launch] = []
        self.environments: list[Mapping[str, str]] = []
        self.reject: Callable[[Launch], LaunchRejected | None] = lambda launch: None
        self.ready = True  # the result of all probes
        self.stubborn = False  # whether containers ignore SIGTERM
        self.used: dict[str, PodUsage] = {}  # by Pod; other Pods use nothing
        self.looks = 0  # the calls of `usage`
        self.ids = itertools.count(1)
        self.created: dict[tuple[str, str], MemoryCreated] = {}  # they wait for their start
        self.addresses: dict[str, str] | None = None  # by Pod; None: all Pods share loopback
        self.reject_pod: Callable[[Object], LaunchRejected | None] = lambda pod: None

    def has_own_address(self, pod: Object) -> bool:
        return self.addresses is not None

    async def set_up_pod(self, pod: Object) -> str:
        if (rejection := self.reject_pod(pod)) is not None:
            raise rejection
        if self.addresses is None:
            return "127.0.0.1"
        return self.addresses.setdefault(uid(pod), f"10.0.0.{len(self.addresses) + 1}")

    async def prepare(self, launch: Launch) -> "MemoryPrepared":
        return MemoryPrepared(self, launch)

    def adopt(self, pod: str, container: str) -> "MemoryCreated | MemoryContainer | None":
        return self.created.get((pod, container)) or self.containers.get((pod, container))

    def port(self, pod: str) -> int:
        if self.addresses is not None:
            return 0
        return next((running.launch.port for (of, _), running in self.containers.items() if of == pod), 0)

    async def usage(self, pod: str) -> PodUsage | None:
        self.looks += 1
        exists = any(of == pod for of, _ in (*self.containers, *self.created))
        return self.used.get(pod, PodUsage(0.0, 0)) if exists else None

    async def forget(self, pod: str) -> None:
        for name in [name for name in self.containers if name[0] == pod]:
            self.containers[name].end(137, 9)
        for name in [name for name in self.created if name[0] == pod]:
            del self.created[name]
        if self.addresses is not None:
            self.addresses.pop(pod, None)

    async def forget_others(self, pods: Collection[str]) -> None:
        for pod in {pod for pod, _ in (*self.containers, *self.created)}.union(self.addresses or ()) - set(pods):
            await self.forget(pod)

    async def attempt(self, probe: Probe, target: ProbeTarget) -> str | None:
        """One attempt of any probe of any container."""
        return None if self.ready else "not ready"


@dataclass(frozen=True, slots=True)
class MemoryPrepared:
    """A container in memory before its start."""

    runtime: MemoryRuntime
    launch: Launch

    @property
    def image_id(self) -> str:
        return f"{self.launch.image}@sha256:{'0' * 64}"

    async def create(self, environment: Mapping[str, str]) -> "MemoryCreated":
        if (rejection := self.runtime.reject(self.launch)) is not None:
            raise rejection
        self.runtime.environments.append(environment)
        created = MemoryCreated(self.runtime, self.launch)
        self.runtime.created[self.launch.pod_uid, self.launch.name] = created
        return created


@dataclass(frozen=True, slots=True)
class MemoryCreated:
    """A container in memory that waits for its start."""

    runtime: MemoryRuntime
    launch: Launch

    async def remove(self) -> None:
        self.runtime.created.pop((self.launch.pod_uid, self.launch.name), None)

    async def start(self) -> "MemoryContainer":
        if (self.launch.pod_uid, self.launch.name) not in self.runtime.created:
            raise LaunchRejected("RunContainerError", "its init has ended")
        await self.remove()
        self.runtime.launched.append(self.launch)
        running = MemoryContainer(self.runtime, self.launch)
        self.runtime.containers[self.launch.pod_uid, self.launch.name] = running
        return running


class MemoryListening:
    """The port of a container in memory."""

    def __init__(self) -> None:
        self.foreign: str | None = None  # the fault of the listener
        self.sockets: list[ListeningSocket] = []
        self._lost = asyncio.Event()

    async def problem(self, port: int) -> str | None:
        return self.foreign

    async def opened(self) -> Sequence[ListeningSocket]:
        return self.sockets

    def is_taken(self, port: int) -> bool:
        return False

    def lose(self, why: str) -> None:
        """Another program has the port from now on."""
        self.foreign = why
        self._lost.set()

    async def lost(self) -> None:
        await self._lost.wait()

    def hold_port(self) -> None:
        self._lost.clear()

    def check(self) -> None:
        pass

    def invalidate(self) -> None:
        pass

    def refuse_connections(self) -> None:
        pass

    def release(self) -> None:
        pass


class MemoryContainer:
    """A container that only waits for its end."""

    def __init__(self, runtime: MemoryRuntime, launch: Launch) -> None:
        self.launch = launch
        self.id = f"memory://{next(runtime.ids)}"
        self.started_at = runtime.clock.wall()
        self.terminated = False
        self.frozen = False
        self.listening = MemoryListening()
        self._runtime = runtime
        self._exit: ContainerExit | None = None
        self._over = asyncio.Event()

    def end(self, code: int, signal: int = 0) -> None:
        """Its main process ends."""
        if self._exit is None:
            self._exit = ContainerExit(code, signal, "Completed" if code == 0 else "Error")
            self._runtime.containers.pop((self.launch.pod_uid, self.launch.name), None)
            self._over.set()

    async def ended(self) -> ContainerExit:
        await self._over.wait()
        return self._exit or ContainerExit(0)

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

    async def execute(self, program: Sequence[str], stdio: Stdio | None = None) -> int:
        return 0

    async def connect(self, port: int) -> socket.socket:
        raise ConnectionRefusedError("a container in memory listens on no port")
