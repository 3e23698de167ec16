# SPDX-License-Identifier: Apache-2.0
"""The cost of the autoscaler, alone with a cluster in memory: a tick over ten thousand revisions with a thousand active
ones, the memory of a revision at rest, and the time from the first waiting request to the write of the scale."""

import asyncio
import gc
import time
import tracemalloc

from bench.table import Figures, percentile
from harness.autoscaler import Gate, World
from tidegate.kit.clock import settle
from tidegate.model import kinds
from tidegate.model.objects import Key

REVISIONS = 10_000
ACTIVE = 1_000
TICKS = 20
WAITERS = 200


def main() -> Figures:
    return asyncio.run(measure())


async def measure() -> Figures:
    figures = Figures("Autoscaler")
    world = World()
    await world.start()
    try:
        tracemalloc.start()
        revisions = await at_rest(world)
        figures.add("memory of a revision at rest", own_memory() / REVISIONS, "B", most=2048)
        tracemalloc.stop()
        waits = [await first_waiter(world, revision) for revision in revisions[ACTIVE : ACTIVE + WAITERS]]
        figures.add("first waiter to the status write, p50", percentile(waits, 50) * 1e6, "us")
        figures.add("first waiter to the status write, p99", percentile(waits, 99) * 1e6, "us")
        await make_active(world, revisions[:ACTIVE])
        ticks = [await tick(world) for _ in range(TICKS)]
        figures.add(f"a tick, {ACTIVE} of {REVISIONS} active, p50", percentile(ticks, 50) * 1e3, "ms", most=100)
        figures.add(f"a tick, {ACTIVE} of {REVISIONS} active, worst", max(ticks) * 1e3, "ms", most=100)
    finally:
        await world.stop()
    return figures


async def at_rest(world: World) -> list[Key]:
    """Revisions that have been scaled to zero; the memory of the cluster and the informers does not count."""
    conditions = [{"type": "Active", "status": "False", "reason": "NoTraffic"}]
    status = {"desiredScale": 0, "actualScale": 0, "observedGeneration": 1, "conditions": conditions}
    for number in range(REVISIONS):
        metadata = {"namespace": "default", "name": f"rev-{number:05}", "generation": 1, "annotations": {}}
        spec = {"containerConcurrency": 10, "reachability": "Reachable"}
        kind = kinds.POD_AUTOSCALER
        header = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata}
        world.cluster.put(kind, header | {"spec": spec, "status": status})
    await settle(REVISIONS * 3)
    return [Key("default", f"rev-{number:05}") for number in range(REVISIONS)]


def own_memory() -> int:
    """The bytes that code of the autoscaler has allocated."""
    gc.collect()
    ours = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(True, "*/tidegate/autoscaler/*")])
    return sum(entry.size for entry in ours.statistics("filename"))


async def first_waiter(world: World, revision: Key) -> float:
    gate = world.gate(revision)
    gate.set(queued=1)
    begin = time.perf_counter()
    gate.report()
    await world.cluster.committed()
    return time.perf_counter() - begin


async def make_active(world: World, revisions: list[Key]) -> None:
    """Give each revision two instances and a load over a full window."""
    gates = []
    for number, revision in enumerate(revisions):
        await world.ready(revision, 2)
        gate = Gate(world.autoscaler.report, world.clock, revision, "gate-1")
        gate.set(in_flight=1 + number % 13)
        gates.append(gate)
    for _ in range(70):
        await world.clock.advance(1.0)
        for gate in gates:
            gate.report()


async def tick(world: World) -> float:
    begin = time.process_time()
    await world.autoscaler.tick()
    return time.process_time() - begin


if __name__ == "__main__":
    main().show()
