# SPDX-License-Identifier: Apache-2.0
"""Two gateways that share eight instances with container concurrency 1 and 20 ms of work: what they serve together, and
how long slots take to follow load.

`python -m bench.sharing`. Envoys, gates, publisher and management server are the real ones.
"""

import asyncio
import itertools
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import uvloop

from bench.table import Figures, percentile
from harness.gate import Client
from harness.gateway import Envoy
from harness.pair import Pair, pair

INSTANCES = 8
WORK = 0.02  # seconds
LONG = 0.2  # seconds, so that a request that waits for another to end shows
IDEAL = INSTANCES / WORK  # requests a second
SECONDS = 4.0  # of each load
TURNS = 20  # from one gateway to the other


async def clients(both: Pair, envoy: Envoy, count: int) -> list[Client]:
    return [await both.client(envoy) for _ in range(count)]


@asynccontextmanager
async def asking(both: Pair, connections: list[Client]) -> AsyncIterator[None]:
    """While this is open, each of those asks again and again."""
    over = False

    async def ask(client: Client) -> None:
        while not over:
            await both.ask(client, f"/work/{WORK}")

    async with asyncio.TaskGroup() as group:
        for client in connections:
            group.create_task(ask(client))
        try:
            yield
        finally:
            over = True


async def served(both: Pair) -> float:
    """Requests a second from now on, for a while."""
    before, began = sum(app.served for app in both.apps), time.perf_counter()
    await asyncio.sleep(SECONDS)
    return (sum(app.served for app in both.apps) - before) / (time.perf_counter() - began)


async def turn(both: Pair, connections: list[Client]) -> float:
    """Milliseconds until as many clients of one gateway as there are instances have one each. The other gateway had
    most of them just before."""
    began = time.perf_counter()
    await asyncio.gather(*[both.ask(client, f"/work/{LONG}") for client in connections])
    return (time.perf_counter() - began - LONG) * 1000


async def measure(figures: Figures, folder: Path) -> None:
    async with pair(folder, concurrency=1, count=INSTANCES) as both:
        one, two = [await clients(both, envoy, 2 * INSTANCES) for envoy in (both.first, both.second)]
        async with asking(both, one + two):
            figures.add("both busy alike, of the ideal", await served(both) / IDEAL, least=0.85)
        async with asking(both, one):
            figures.add("one busy, the other idle, of the ideal", await served(both) / IDEAL, least=0.85)
        async with asking(both, one + two[:4]):
            figures.add("16 clients here, 4 there, of the ideal", await served(both) / IDEAL, least=0.85)
        turns = itertools.islice(itertools.cycle((two[:INSTANCES], one[:INSTANCES])), TURNS)
        took = [await turn(both, connections) for connections in turns]
        figures.add("all slots are at the other gateway, p50", percentile(took, 50), "ms")
        figures.add("all slots are at the other gateway, p99", percentile(took, 99), "ms", most=100)
        figures.add("requests at an instance at a time, most", both.most, most=1)
        figures.add(
            "requests that were not answered with 200", sum(both.outcomes.values()) - both.outcomes["200"], most=0
        )


def main() -> Figures:
    figures = Figures("Two gateways, 8 instances, container concurrency 1, 20 ms")
    with tempfile.TemporaryDirectory() as folder:
        uvloop.run(measure(figures, Path(folder)))
    return figures


if __name__ == "__main__":
    main().show()
