# SPDX-License-Identifier: Apache-2.0
"""Waking a standby instance: request in, first byte out, of a revision at zero whose instance is frozen; beside a
request to an instance that runs, and a cold start of the same app.

Every wake is the first of a service of its own, with a pause before it, as cold starts are measured.
"""

import asyncio
from pathlib import Path
from urllib.parse import urlsplit

from bench.coldstart import PAUSE, first_byte
from bench.table import Figures, percentile
from bench.world import ASLEEP, fast_service, running
from harness.platform import Platform, eventually

WAKES = 50
STANDBY = ASLEEP | {"tidegate.dev/standby": "1"}


async def measure(platform: Platform, app: Path) -> Figures:
    frozen = [f"standby-{number:03}" for number in range(WAKES)]
    cold = [f"nobody-{number:03}" for number in range(WAKES)]
    platform.apply(
        *(fast_service(name, app, annotations=STANDBY) for name in frozen),
        *(fast_service(name, app, annotations=ASLEEP) for name in cold),
    )
    for name in (*frozen, *cold):
        platform.wait_ready(name)
    await eventually(lambda: stand_by(platform) == WAKES, "all to be frozen")
    port = urlsplit(platform.gateway).port or 80
    wakes = [await after_a_pause(port, name) for name in frozen]
    starts = [await after_a_pause(port, name) for name in cold]
    warm = [await after_a_pause(port, name) for name in frozen]
    figures = Figures(f"waking a standby instance, over {WAKES}: request to first byte")
    figures.add("warm instance, p50", percentile(warm, 50) * 1000, "ms")
    figures.add("warm instance, p99", percentile(warm, 99) * 1000, "ms")
    figures.add("standby, p50", percentile(wakes, 50) * 1000, "ms", most=5)
    figures.add("standby, p99", percentile(wakes, 99) * 1000, "ms")
    figures.add("cold start, p50", percentile(starts, 50) * 1000, "ms")
    figures.add("cold start, p99", percentile(starts, 99) * 1000, "ms")
    return figures


def stand_by(platform: Platform) -> int:
    return sum(service["standby"] for service in platform.status()["services"])


async def after_a_pause(port: int, name: str, pause: float = PAUSE) -> float:
    await asyncio.sleep(pause)
    return await first_byte(port, name)


def main() -> Figures:
    with running() as (platform, app):
        return asyncio.run(measure(platform, app))


if __name__ == "__main__":
    main().show()
