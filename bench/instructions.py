# SPDX-License-Identifier: Apache-2.0
"""What a request costs Envoy with the gate and without, counted: `python -m bench.instructions`. Needs valgrind.

Rates and CPU times depend on what else the machine does; the number of instructions that Envoy's worker executes for a
request does not. One client sends one request after the other to an Envoy under valgrind's callgrind, which counts what
each thread executes outside of the kernel. The rest of a request, about a quarter to a half of its time, is the
kernel's, and the same with the gate and without. The table also has the cost of a module that does nothing. Envoy
misses its first-level caches, which callgrind simulates, some thousand times a request, so the misses say more about
its time than the instructions do.
"""

import asyncio
import re
import shutil
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple

from bench.gate import PLAIN, Backends, Quiet
from bench.nothing import Nothing
from bench.table import Figures
from harness.gate import Client, Gateway
from tidegate.gateway.envoys.spec import BINARY

WARM = 300  # requests before the counted ones
COUNTED = 2000


class Counts(NamedTuple):
    """Instructions, and misses of the first-level caches for code and for data that is read, of a request."""

    instructions: float
    code: float
    data: float


async def counted(gateway: Gateway, instance: str) -> Counts:
    """The counts of Envoy's worker for one request."""
    callgrind = ["valgrind", "--tool=callgrind", "--cache-sim=yes", "--instr-atstart=no", "--separate-threads=yes"]
    gateway.command = [*callgrind, f"--callgrind-out-file={gateway.folder / 'counts'}", BINARY]
    gateway.patience = 120
    async with gateway.running():
        gateway.set_hosts("hello", [instance])
        while f"default/hello::{instance}::health_flags" not in await gateway.admin("/clusters"):
            pass
        async with Client(gateway.port, "hello") as client:
            for number in range(WARM + COUNTED):
                if number == WARM:
                    await count(gateway, "on")
                answer = await client.get("/")
                if answer.status != 200:
                    raise RuntimeError(f"not every answer was 200: {answer}")
            await count(gateway, "off")
    return busiest(gateway.folder)


def busiest(folder: Path) -> Counts:
    """The counts of the thread that executed most: the one worker."""
    totals = [re.search(r"^totals: (.+)", file.read_text(), re.MULTILINE) for file in folder.glob("counts-*")]
    instructions, _, _, code, data, *_ = max(
        [float(count) / COUNTED for count in total[1].split()] for total in totals if total is not None
    )
    return Counts(instructions, code, data)


async def count(gateway: Gateway, switch: str) -> None:
    control = ["callgrind_control", "--instr=" + switch, str(gateway.process.pid)]
    process = await asyncio.create_subprocess_exec(
        *control, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    if await process.wait() != 0:
        raise RuntimeError(f"{' '.join(control)} failed")


async def measure() -> Figures:
    figures = Figures("a request's instructions")
    async with AsyncExitStack() as stack:
        folders = [Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tidegate-bench-"))) for _ in range(5)]
        backends = Backends(folders[4], {}, workers=1)
        await stack.enter_async_context(backends.running())
        instance = (await backends.addresses())[0]
        plain = await counted(Gateway(folders[0], {"hello": None}, workers=1, upstream=PLAIN), instance)
        nothing = await counted(Nothing(folders[1], {"hello": None}, workers=1, upstream=PLAIN), instance)
        quiet = await counted(Quiet(folders[2], {"hello": None}, workers=1, upstream=PLAIN), instance)
        gated = await counted(Gateway(folders[3], {"hello": {}}, workers=1), instance)
    figures.add("plain Envoy: instructions", plain.instructions / 1000, "thousand")
    for what, counts in (
        ("a module that does nothing", nothing),
        ("plain Envoy without counts of clusters", quiet),
        ("the gate", gated),
    ):
        figures.add(f"{what}: instructions more", (counts.instructions / plain.instructions - 1) * 100, "%")
        figures.add(f"{what}: misses of the first cache for code more", (counts.code / plain.code - 1) * 100, "%")
        figures.add(
            f"{what}: misses of the first cache for data that is read, more", (counts.data / plain.data - 1) * 100, "%"
        )
    return figures


def main() -> Figures:
    if shutil.which("valgrind") is None:
        raise SystemExit("bench.instructions needs valgrind: apt install valgrind")
    return asyncio.run(measure())


if __name__ == "__main__":
    main().show()
