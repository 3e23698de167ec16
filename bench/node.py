# SPDX-License-Identifier: Apache-2.0
"""The node agent on its own: from a Pod that is created to a Pod that says Ready, less what the bare process takes to
listen; what one instance costs while nothing happens; how long a deletion takes."""

import asyncio
import tempfile
import time
from pathlib import Path

import uvloop

from bench.coldstart import bare_start
from bench.table import Figures, percentile
from bench.world import build_app
from harness.node import World, is_ready, node, pod
from tidegate.model.kinds import POD
from tidegate.model.objects import Key

STARTS = 100
MANY = 200


async def measure(folder: Path, app: Path) -> Figures:
    bare = [bare_start(app).listening for _ in range(STARTS)]
    async with node(folder) as world:
        starts, ends = [], []
        for number in range(STARTS):
            starts.append(await start(world, f"one-{number}", app))
            ends.append(await end(world, f"one-{number}"))
        figures = Figures(f"node agent, over {STARTS} Pods one after the other")
        figures.add("bare process, exec to listening, p50", percentile(bare, 50) * 1000, "ms")
        figures.add("Pod created to Ready, p50", percentile(starts, 50) * 1000, "ms")
        figures.add("less the bare process, p50", (percentile(starts, 50) - percentile(bare, 50)) * 1000, "ms")
        figures.add("less the bare process, p99", (percentile(starts, 99) - percentile(bare, 50)) * 1000, "ms")
        figures.add("Pod deleted until it is removed, p50", percentile(ends, 50) * 1000, "ms")

        began = time.perf_counter()
        await asyncio.gather(*(start(world, f"many-{number}", app) for number in range(MANY)))
        figures.add(f"{MANY} Pods at once, all Ready after", time.perf_counter() - began, "s")
        await asyncio.sleep(5)  # until all events are written
        cpu, began = time.process_time(), time.perf_counter()
        await asyncio.sleep(5)
        share = (time.process_time() - cpu) / (time.perf_counter() - began)
        figures.add("CPU of the agent for 1,000 instances at rest", share * 1000 / MANY * 100, "% of a core")
    return figures


async def start(world: World, name: str, app: Path) -> float:
    """Seconds from a Pod's creation until a watcher sees it Ready."""
    listing = await world.cluster.list(POD)
    async with world.cluster.watch(
        POD, resource_version=listing.resource_version, fields=f"metadata.name={name}"
    ) as events:
        began = time.perf_counter()
        await world.create(pod(name, str(app)))
        async for event in events:
            if is_ready(event.object):
                return time.perf_counter() - began
    raise AssertionError("the watch ended")


async def end(world: World, name: str) -> float:
    """Seconds from the deletion of an idle Pod until its Pod is deleted."""
    began = time.perf_counter()
    await world.cluster.delete(POD, Key("default", name))
    await world.deleted(name)
    return time.perf_counter() - began


def main() -> Figures:
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as folder:
        app = build_app(Path(folder))
        return uvloop.run(measure(Path(folder), app))


if __name__ == "__main__":
    main().show()
