# SPDX-License-Identifier: Apache-2.0
"""A node for tests in virtual time, with containers in memory."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

from harness.apiserver import opened
from harness.node import World, agent, no_requests
from tidegate.kit.clock import VirtualClock, settle
from tidegate.model.kinds import CONFIG_MAP, POD
from tidegate.model.objects import Key, Object, resource_version
from tidegate.node.machine import NodeResources
from tidegate.node.node_context import Drained, PodVolumes
from tidegate.node.runtimes.memory import MemoryContainer, MemoryRuntime

_STEPS = 4
"""The most steps in the thread of files, one after the other, between two writes to the API."""


def _nothing() -> None:
    """Run in the thread of files: its end comes after all that was given to the thread before."""


class Node:
    """An agent in virtual time; commits and files are written in two real threads, which `rest` waits for."""

    def __init__(self, world: World, runtime: MemoryRuntime, clock: VirtualClock) -> None:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(max_workers=1))
        self.world = world
        self.runtime = runtime
        self.clock = clock

    async def turn(self, seconds: float = 0.0) -> None:
        """Let time pass once all is written that is to be: a timer that a write sets would begin late."""
        await self.rest()
        await self.clock.advance(seconds)
        await self.rest()

    async def rest(self) -> None:
        """Until nothing more is written. Writes are made in order: once one of ours is in, all before it are."""
        last = 0
        while True:
            for _ in range(_STEPS):
                await settle()
                await asyncio.to_thread(_nothing)
            mark = {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"generateName": "mark-", "namespace": "default"},
            }
            version = resource_version(await self.world.cluster.create(CONFIG_MAP, mark))
            await settle()
            if version == last + 1:
                return
            last = version

    async def create(self, obj: Object) -> None:
        await self.world.create(obj)
        await self.rest()

    async def get(self, name: str = "app") -> Object:
        found = await self.world.get(name)
        assert found is not None
        return found

    async def delete(self, name: str = "app") -> None:
        await self.world.cluster.delete(POD, Key("default", name))
        await self.rest()

    @property
    def running(self) -> MemoryContainer:
        return next(iter(self.runtime.containers.values()))

    async def crash(self, code: int = 1) -> None:
        self.running.end(code)
        await self.rest()


@asynccontextmanager
async def virtual(
    folder: Path,
    drained: Drained = no_requests,
    volumes: PodVolumes | None = None,
    has: NodeResources | None = None,
) -> AsyncIterator[Node]:
    clock = VirtualClock()
    runtime = MemoryRuntime(clock)
    async with (
        opened(folder, clock) as api,
        agent(folder, api, runtime, clock, drained, runtime.attempt, has=has, volumes=volumes) as world,
    ):
        try:
            yield Node(world, runtime, clock)
        finally:
            runtime.stubborn = False  # at the end no time passes
