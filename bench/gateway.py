# SPDX-License-Identifier: Apache-2.0
"""What a change costs with few services present and with many, and what a service takes of Envoy's memory.

`python -m bench.gateway`. The API is one in memory; the publisher, its management server and Envoy are the real ones.
"""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import uvloop

from bench.table import Figures, percentile
from harness import gateway as gateway_world
from harness import make
from harness.echo import Echo, echo
from harness.gateway import Envoy, World, free_port
from tidegate.client.memory import MemoryCluster
from tidegate.kit import gc_tuning
from tidegate.kit.clock import RealClock
from tidegate.model import kinds, names
from tidegate.model.conditions import is_ready
from tidegate.model.objects import Key, Object, key

FEW, MANY = 200, 10_000
CHANGES = 150  # of each kind, and as many services at zero


def ingress(name: str, revision: str, generation: int = 1) -> Object:
    """An Ingress like that of a Route: one public host and three internal ones."""
    local = [f"{name}.default", f"{name}.default.svc", f"{name}.default.svc.cluster.local"]
    path = make.path({revision: 100})
    rules = make.rule(local, path, local=True), make.rule(f"{name}.default.localhost", path)
    return make.ingress(name, *rules, metadata={"generation": generation})


@asynccontextmanager
async def running(services: int, folder: Path) -> AsyncIterator[tuple[World, MemoryCluster]]:
    cluster = MemoryCluster()
    for number in range(services):
        name = f"service-{number:05}"
        cluster.put(kinds.REVISION, make.revision(f"{name}-00001", of=name))
        cluster.put(kinds.INGRESS, ingress(name, f"{name}-00001"))
    cluster.put(kinds.REVISION, make.revision("service-00000-00002", of="service-00000", generation=2))
    world = World(folder, cluster, RealClock(), free_port(), free_port(), tls=False)
    await world.start()
    collecting = asyncio.create_task(gc_tuning.run(RealClock()))  # as the control plane has it
    try:
        yield world, cluster
    finally:
        collecting.cancel()
        await world.stop()


async def measure() -> Figures:
    figures = Figures("Gateway")
    changes: dict[int, float] = {}
    wakes: dict[int, float] = {}
    memory: dict[int, float] = {}
    for services in (FEW, MANY):
        with tempfile.TemporaryDirectory() as folder:
            async with running(services, Path(folder)) as (world, cluster), echo() as app:
                began = time.perf_counter()
                async with world.envoy() as envoy:
                    await obeyed(world, cluster)
                    figures.add(f"Envoy has all, {services} services", time.perf_counter() - began, "s")
                    memory[services] = resident(envoy)
                    moves = [await change(world, cluster, number) for number in range(CHANGES)]
                    ready = [await wake(world, cluster, app, number) for number in range(CHANGES)]
        changes[services], wakes[services] = percentile(moves, 50), percentile(ready, 50)
        for what, times in (("traffic change to consent", moves), ("Pod ready to a waiting request's answer", ready)):
            figures.add(f"{what}, {services} services, p50", percentile(times, 50) * 1e3, "ms")
            figures.add(f"{what}, {services} services, p99", percentile(times, 99) * 1e3, "ms", most=100)
    figures.add(f"traffic change, {MANY} services / {FEW}", changes[MANY] / changes[FEW], most=2)
    figures.add(f"Pod ready, {MANY} services / {FEW}", wakes[MANY] / wakes[FEW], most=2)
    figures.add("Envoy's memory for a service", (memory[MANY] - memory[FEW]) / (MANY - FEW) / 1000, "kB")
    return figures


async def obeyed(world: World, cluster: MemoryCluster) -> None:
    for name in list(cluster.stored(kinds.INGRESS)):
        while not is_ready(cluster.stored(kinds.INGRESS)[name]):
            await world.turn()


def resident(envoy: Envoy) -> int:
    assert envoy.process is not None
    return int(psutil.Process(envoy.process.pid).memory_info().rss)


async def change(world: World, cluster: MemoryCluster, number: int) -> float:
    """Seconds from an Ingress that the watch brings to its being obeyed by Envoy."""
    name = Key("default", "service-00000")
    began = time.perf_counter()
    cluster.put(kinds.INGRESS, ingress(name.name, f"service-00000-0000{2 - number % 2}", number + 2))
    while not is_ready(cluster.stored(kinds.INGRESS)[name]):
        await world.turn()
    return time.perf_counter() - began


async def wake(world: World, cluster: MemoryCluster, app: Echo, number: int) -> float:
    """Seconds from a Pod that the watch brings as ready to the answer of a request that waited for it."""
    name = f"service-{number + 1:05}"
    revision = make.revision(f"{name}-00001", of=name)
    asking = asyncio.create_task(world.get(f"{name}.default.localhost"))
    await world.until_report(f"{name}-00001", lambda report: report.queued == 1)
    pod = make.pod(revision, ready=True, metadata={"annotations": {names.PORT: str(app.port)}})
    began = time.perf_counter()
    cluster.put(kinds.POD, pod)
    await asking
    took = time.perf_counter() - began
    cluster.remove(kinds.POD, key(pod))
    return took


def main() -> Figures:
    gateway_world.PATIENCE = 120
    return uvloop.run(measure())


if __name__ == "__main__":
    main().show()
