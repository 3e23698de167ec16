# SPDX-License-Identifier: Apache-2.0
"""A step of load at zero: many long requests at once, until the instances for them are ready.

Every step is for a service of its own (initial scale 0), which is deleted after it. The desired scale within the time
bound must be the one for the whole load. Scale and ready instances are read from a watch of the API.
"""

import asyncio
import math
import time
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from bench.coldstart import bare_start
from bench.table import Figures, percentile
from bench.world import ASLEEP, fast_service, running
from harness.platform import Platform
from tidegate.client.http import HttpCluster
from tidegate.client.informer import Informer
from tidegate.model import kinds, names, pods
from tidegate.model.objects import Object, status

STEPS = 7
REQUESTS = 200
CONCURRENCY = 10
UTILISATION = 0.7  # config-autoscaler's default
HELD = 3  # seconds that a request takes
BOUND = 1.0  # seconds


class Step(NamedTuple):
    """The desired scale within the bound, and the seconds from the first request until it was desired, and ready."""

    wanted: int
    wanted_after: float
    ready_after: float


async def measure(platform: Platform, app: Path) -> Figures:
    bare = percentile([bare_start(app).listening for _ in range(20)], 50)
    port = urlsplit(platform.gateway).port or 80
    steps = []
    async with HttpCluster.from_kubeconfig(platform.home / "kubeconfig") as cluster:
        for number in range(STEPS):
            name = f"step-{number}"
            platform.apply(fast_service(name, app, annotations=ASLEEP, containerConcurrency=CONCURRENCY))
            platform.wait_ready(name)
            steps.append(await one_step(cluster, port, name))
            platform.kubectl("delete", "ksvc", name)
    figures = Figures(f"a step from 0 to {REQUESTS} requests at once, {CONCURRENCY} an instance, {STEPS} times")
    wanted, fewest = math.ceil(REQUESTS / (CONCURRENCY * UTILISATION)), min(step.wanted for step in steps)
    figures.add(f"instances that are wanted within {BOUND:g} s, at least", fewest, least=wanted)
    figures.add("until they are wanted, p50", percentile([step.wanted_after for step in steps], 50) * 1000, "ms")
    ready = [step.ready_after - bare for step in steps]
    figures.add(
        "until they are ready, less the bare process's own time, p50",
        percentile(ready, 50) * 1000,
        "ms",
        most=BOUND * 1000,
    )
    figures.add(
        "until they are ready, less the bare process's own time, worst", max(ready) * 1000, "ms", most=BOUND * 1000
    )
    return figures


async def one_step(cluster: HttpCluster, port: int, name: str) -> Step:
    """Send all requests at once, on open connections, and watch until they are answered."""
    watched = Watched(cluster, f"{name}-00001")
    watching = [asyncio.create_task(informer.run()) for informer in watched.informers]
    await asyncio.gather(*(informer.synced() for informer in watched.informers))
    connections = await asyncio.gather(*(asyncio.open_connection("127.0.0.1", port) for _ in range(REQUESTS)))
    began = time.monotonic()
    for _, writer in connections:
        writer.write(f"GET /{HELD} HTTP/1.1\r\nhost: {name}.default.localhost\r\n\r\n".encode())
    answers = await asyncio.gather(*(reader.readline() for reader, _ in connections))
    assert all(b" 200 " in answer for answer in answers), answers
    for task in watching:
        task.cancel()
    await asyncio.gather(*watching, return_exceptions=True)
    for _, writer in connections:
        writer.close()
    wanted = max(count for when, count in watched.wanted if when <= began + BOUND)
    return Step(wanted, since(began, watched.wanted, wanted), since(began, watched.ready, wanted))


def since(began: float, seen: list[tuple[float, int]], count: int) -> float:
    """Seconds until that number was seen first; infinite if it never was."""
    return min((when for when, there in seen if there >= count), default=math.inf) - began


class Watched:
    """The desired and the ready instances of a revision, with their times."""

    def __init__(self, cluster: HttpCluster, revision: str) -> None:
        self.wanted: list[tuple[float, int]] = []
        self.ready: list[tuple[float, int]] = []
        self._autoscalers = Informer(cluster, kinds.POD_AUTOSCALER, labels=f"{names.REVISION}={revision}")
        self._pods = Informer(cluster, kinds.POD, labels=f"{names.REVISION}={revision}")
        self.informers = (self._autoscalers, self._pods)
        for informer in self.informers:
            informer.subscribe(self._look)

    def _look(self, old: Object | None, new: Object | None) -> None:
        now = time.monotonic()
        self.wanted += [(now, status(each).get("desiredScale", 0)) for each in self._autoscalers.list()]
        self.ready.append((now, sum(map(pods.is_ready, self._pods.list()))))


def main() -> Figures:
    with running() as (platform, app):
        return asyncio.run(measure(platform, app))


if __name__ == "__main__":
    main().show()
