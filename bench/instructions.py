# SPDX-License-Identifier: Apache-2.0
"""What a request costs Envoy with the gate and without, counted: `python -m bench.instructions`. Needs valgrind.

Rates and CPU times depend on what else the machine does; the number of instructions that Envoy's worker executes for a
request does not. One client sends one request after the other to an Envoy under valgrind's callgrind, which counts what
each thread executes outside of the kernel. The rest of a request, about a quarter to a half of its time, is the
kernel's, and the same with the gate and without.
"""

import asyncio
import re
import shutil
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

from bench.gate import Backends
from bench.table import Figures
from tests.gateway.gate import Client, Gateway, JsonObject
from tidegate.gateway.envoy import BINARY

WARM = 300  # requests before those that are counted
COUNTED = 2000


async def instructions(folder: Path, settings: JsonObject | None, instance: str) -> float:
    """Of Envoy's worker, for one request."""
    counts = folder / "counts"
    callgrind = ["valgrind", "--tool=callgrind", "--instr-atstart=no", "--separate-threads=yes"]
    command: list[str | Path] = [*callgrind, f"--callgrind-out-file={counts}", BINARY]
    upstream = {"lb_policy": "LEAST_REQUEST"} if settings is None else {}
    gateway = Gateway(folder, {"hello": settings}, workers=1, upstream=upstream, command=command, patience=120)
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
    return busiest(folder) / COUNTED


def busiest(folder: Path) -> int:
    """The instructions of the thread that executed most: the one worker."""
    totals = [re.search(r"^totals: (\d+)", file.read_text(), re.MULTILINE) for file in folder.glob("counts-*")]
    return max(int(total[1]) for total in totals if total is not None)


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
        folders = [Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tidegate-bench-"))) for _ in range(3)]
        backends = Backends(folders[2], {}, workers=1)
        await stack.enter_async_context(backends.running())
        instance = (await backends.addresses())[0]
        gated = await instructions(folders[0], {}, instance)
        plain = await instructions(folders[1], None, instance)
    figures.add("plain Envoy's worker", plain / 1000, "thousand")
    figures.add("with the gate", gated / 1000, "thousand")
    figures.add("with the gate, of plain Envoy's", gated / plain)
    return figures


def main() -> Figures:
    if shutil.which("valgrind") is None:
        raise SystemExit("bench.instructions needs valgrind: apt install valgrind")
    return asyncio.run(measure())


if __name__ == "__main__":
    main().show()
