# SPDX-License-Identifier: Apache-2.0
"""From a write on the API to the gateway's obedience: a traffic change with many services present, and a new service.

Both are measured from before the API call to the first answer that could not have come without it.
"""

import asyncio
import time
from pathlib import Path

import httpx

from bench.table import Figures, percentile
from bench.world import ASLEEP, fast_service, running
from harness.platform import Platform, service
from tidegate.client.http import HttpCluster
from tidegate.model import kinds
from tidegate.model.objects import Key

SERVICES = 200
CHANGES = 100
NEW = 50


async def measure(platform: Platform, app: Path) -> Figures:
    platform.apply(*[service(f"other-{number:03}", annotations=ASLEEP) for number in range(SERVICES)])
    keep = {"autoscaling.knative.dev/min-scale": "1"}
    for greeting in ("one", "two"):
        platform.apply(service("moved", greeting=greeting, annotations=keep))
        platform.wait_ready("moved")
    figures = Figures(f"apply to traffic, with {SERVICES} services present")
    async with HttpCluster.from_kubeconfig(platform.home / "kubeconfig") as cluster, platform.client("moved") as client:
        changes = [await change_traffic(cluster, client, 1 + number % 2) for number in range(CHANGES)]
        figures.add("traffic change, p50", percentile(changes, 50) * 1000, "ms")
        figures.add("traffic change, p99", percentile(changes, 99) * 1000, "ms", most=100)
        created = [await create_service(cluster, platform, f"new-{number:03}", app) for number in range(NEW)]
        figures.add("new Service to its first answer, p50", percentile(created, 50) * 1000, "ms", most=200)
        figures.add("new Service to its first answer, p99", percentile(created, 99) * 1000, "ms")
    return figures


async def change_traffic(cluster: HttpCluster, client: httpx.AsyncClient, revision: int) -> float:
    """Seconds from the patch to the first answer of that revision."""
    name = f"moved-{revision:05}"
    began = time.perf_counter()
    await cluster.patch(
        kinds.SERVICE, Key("default", "moved"), {"spec": {"traffic": [{"revisionName": name, "percent": 100}]}}
    )
    while name not in (await client.get("/")).text:
        pass
    return time.perf_counter() - began


async def create_service(cluster: HttpCluster, platform: Platform, name: str, app: Path) -> float:
    """Seconds to the first 200; the app's own start is part of it (a C program: about a millisecond)."""
    async with platform.client(name) as client:
        await client.get("/")  # opens the connection: a 404
        began = time.perf_counter()
        await cluster.create(kinds.SERVICE, fast_service(name, app))
        while (await client.get("/")).status_code != httpx.codes.OK:
            pass
        return time.perf_counter() - began


def main() -> Figures:
    with running() as (platform, app):
        return asyncio.run(measure(platform, app))


if __name__ == "__main__":
    main().show()
