# SPDX-License-Identifier: Apache-2.0
"""The gate under a million random requests: `python -m bench.soak [REQUESTS [SEED]]`. Ends with 1 when a promise broke.

The same storm as in the tests (`harness/storm.py`), in rounds of a new Envoy each, so that starts and stops are
part of it too.
"""

import asyncio
import sys
import tempfile
from collections import Counter
from pathlib import Path

from rich.console import Console

from harness.storm import storm

ROUND = 100_000
WORKERS = (2, 1, 4, 3)  # of Envoy, by turns


async def soak(requests: int, seed: int, console: Console) -> bool:
    outcomes: Counter[str] = Counter()
    sound = True
    for number in range((requests + ROUND - 1) // ROUND):
        with tempfile.TemporaryDirectory(prefix="tidegate-soak-") as folder:
            workers = WORKERS[number % len(WORKERS)]
            async with storm(Path(folder), min(ROUND, requests), seed + number, workers=workers) as raging:
                await raging.rage()
                await raging.settle()
        outcomes.update(raging.outcomes)
        broken = [*raging.failures, *(f"{who} ran {count}" for who, count in raging.excess.items())]
        sound = sound and not broken
        console.print(
            f"round {number + 1}, seed {seed + number}, {workers} workers: "
            f"{raging.sent} requests, {len(broken)} broken promises"
        )
        for line in broken[:10]:
            console.print(f"  [red]{line}[/]")
    console.print(dict(outcomes))
    return sound


def main() -> int:
    requests, seed = [*map(int, sys.argv[1:]), *[1_000_000, 0][len(sys.argv) - 1 :]]
    console = Console()
    sound = asyncio.run(soak(requests, seed, console))
    console.print("[green]every request was answered, no bound was passed[/]" if sound else "[red]failed[/]")
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main())
