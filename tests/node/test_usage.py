# SPDX-License-Identifier: Apache-2.0
"""What running instances use, in virtual time, with containers in memory."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from harness.node import pod
from tests.node.virtual import Node, virtual
from tidegate.model.objects import Key, uid
from tidegate.model.usage import Usage
from tidegate.node.runtime import PodUsage
from tidegate.node.usage import cpu_request

HALF = {"requests": {"cpu": "500m"}}
REVISION = Key("default", "app")
SAMPLE = 3.0


class Sampled:
    """A node and a sampler of what runs there."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.sampler = node.world.node.sampler

    def ask(self, revision: Key = REVISION) -> Sequence[Usage]:
        return self.sampler.usage(revision)

    async def used(self, cpu_seconds: float, memory: int = 0, *, of: str = "app") -> None:
        """All that its processes have used by now."""
        self.node.runtime.used[uid(await self.node.get(of))] = PodUsage(cpu_seconds, memory)


@asynccontextmanager
async def sampled(folder: Path) -> AsyncIterator[Sampled]:
    async with virtual(folder) as node:
        made = Sampled(node)
        task = asyncio.create_task(made.sampler.run())
        try:
            yield made
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_cpu_is_the_difference_of_two_samples_and_memory_the_current_use(tmp_path: Path) -> None:
    async with sampled(tmp_path) as world:
        await world.node.create(pod("app", "x", resources=HALF))
        await world.used(5.0, 100)
        assert not world.ask()
        await world.node.turn()  # the first sample
        assert not world.ask()

        await world.used(5.75, 200)
        await world.node.turn(SAMPLE)
        assert world.ask() == [Usage(0.25, 0.5, 200)]

        await world.used(8.75, 300)
        await world.node.turn(SAMPLE)
        assert world.ask() == [Usage(1.0, 0.5, 300)]


async def test_a_sampler_without_calls_scans_nothing(tmp_path: Path) -> None:
    async with sampled(tmp_path) as world:
        await world.node.create(pod("app", "x"))
        await world.node.turn(600)
        assert world.node.runtime.looks == 0

        for _ in range(10):
            world.ask()
            await world.node.turn(SAMPLE)
        assert world.node.runtime.looks >= 10

        await world.node.turn(60)
        looks = world.node.runtime.looks
        await world.node.turn(600)
        assert world.node.runtime.looks == looks
        assert not world.ask()  # what was known then says nothing of now


async def test_only_ready_instances_of_sampled_revisions_are_scanned(tmp_path: Path) -> None:
    async with sampled(tmp_path) as world:
        await world.node.create(pod("other", "x"))
        world.node.runtime.ready = False
        await world.node.create(pod("app", "x"))
        world.ask()
        await world.node.turn()

        assert world.node.runtime.looks == 0


async def test_an_instance_that_ends_and_begins_again_is_known_again_after_two_samples(tmp_path: Path) -> None:
    async with sampled(tmp_path) as world:
        await world.node.create(pod("app", "x", resources=HALF))
        await world.used(9.0)
        world.ask()
        await world.node.turn(SAMPLE)
        assert world.ask() == [Usage(0.0, 0.5, 0)]

        await world.node.crash()
        await world.used(0.3)
        await world.node.turn(SAMPLE)
        assert not world.ask()

        await world.used(0.6)
        await world.node.turn(SAMPLE)
        (usage,) = world.ask()
        assert usage.cpu == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("containers", "cores"),
    [
        ([{}], 0.0),
        ([{"resources": {"requests": {"cpu": "250m"}, "limits": {"cpu": "1"}}}], 0.25),
        ([{"resources": {"limits": {"cpu": 2}}}], 2.0),
        ([{"resources": HALF}, {"resources": HALF}, {"resources": None}], 1.0),
        ([{"resources": {"requests": {"cpu": "plenty"}}}], 0.0),
    ],
    ids=["nothing", "request", "limit", "sum", "nonsense"],
)
def test_a_pod_requests_the_sum_of_its_containers(containers: list[Any], cores: float) -> None:
    assert cpu_request({"spec": {"containers": containers}}) == cores
