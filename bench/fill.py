# SPDX-License-Identifier: Apache-2.0
"""How full the gate keeps instances that take one request at a time: `python -m bench.fill`. Needs wrk.

Eight instances with 20 ms of work could serve 400 requests a second, if they worked all of the time. The difference is
the time from an instance's answer to its next request: Envoy has to read the one and send the other. At such a rate
Envoy sleeps most of the time, so it finds the processor's caches cold and needs several times the CPU for a request
that it needs when it is busy.
Hence it is measured in three ways, in turns, each some times with an Envoy of its own:

* with the gate, and clients that always wait;
* behind plain Envoy with one client for each instance, which is as full as that can be;
* with the gate while the same Envoy serves another revision, too, as a gateway of many services does.

The instances are processes that measure their work themselves: a sleep of 20 ms takes a little more.
"""

import asyncio
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import uvloop
from rich.progress import track

from bench.gate import PLAIN, start_wrk
from bench.table import Figures
from bench.world import build_app
from harness.gate import Client, Gateway, JsonObject
from harness.gateway import free_port

INSTANCES = 8
WAITING = 64  # clients
WORK = "/0.02"  # seconds
ROUNDS = 10
SECONDS = 4  # of each
OTHERS, OTHER_WORK = 4, "/0.002"  # clients of the other revision, and how long each waits for its instance
ONE_AT_A_TIME: JsonObject = {"containerConcurrency": 1}


@dataclass(frozen=True, slots=True)
class Counts:
    """What an instance says of itself."""

    time: float  # seconds
    worked: float  # seconds
    most: int  # requests at a time


@dataclass(frozen=True, slots=True)
class App:
    port: int

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def counts(self) -> Counts:
        async with Client(self.port, "app") as client:
            said = (await client.get()).headers
        return Counts(time.monotonic(), int(said["x-worked"]) / 1e9, int(said["x-most"]))


@asynccontextmanager
async def apps(program: Path, count: int) -> AsyncIterator[list[App]]:
    started = [App(free_port()) for _ in range(count)]
    processes = [
        await asyncio.create_subprocess_exec(program, env={**os.environ, "PORT": str(app.port)}) for app in started
    ]
    try:
        for app in started:
            await until_listening(app)
        yield started
    finally:
        for process in processes:
            process.kill()
            await process.wait()


async def until_listening(app: App) -> None:
    while True:
        try:
            await app.counts()
        except ConnectionRefusedError:
            await asyncio.sleep(0.001)
        else:
            return


@dataclass(frozen=True, slots=True)
class Filled:
    share: float  # of the time in which instances work
    most: int  # requests at a time at one of them


async def filled(gateway: Gateway, instances: Sequence[App], clients: int) -> Filled:
    """While there is load: at its end clients leave in the middle of requests, which the instances do not notice."""
    load = await start_wrk(gateway.port, WORK, connections=clients, seconds=SECONDS + 5)
    try:
        await asyncio.sleep(0.5)
        before = [await app.counts() for app in instances]
        await asyncio.sleep(SECONDS)
        after = [await app.counts() for app in instances]
    finally:
        load.kill()
        await load.wait()
    shares = [(new.worked - old.worked) / (new.time - old.time) for new, old in zip(after, before, strict=True)]
    return Filled(statistics.mean(shares), max(each.most for each in after))


async def with_gate(program: Path, folder: Path, *, others: bool = False) -> Filled:
    revisions = {"hello": ONE_AT_A_TIME, "other": {}}
    async with Gateway(folder, revisions).running() as gateway, apps(program, INSTANCES + 1) as (other, *instances):
        gateway.set_hosts("hello", [app.address for app in instances])
        gateway.set_hosts("other", [other.address])
        await gateway.reports.until_of("hello", lambda report: len(report["hosts"]) == INSTANCES)
        await gateway.reports.until_of("other", lambda report: len(report["hosts"]) == 1)
        if not others:
            return await filled(gateway, instances, WAITING)
        load = await start_wrk(gateway.port, OTHER_WORK, host="other", connections=OTHERS, seconds=SECONDS + 5)
        try:
            return await filled(gateway, instances, WAITING)
        finally:
            load.kill()
            await load.wait()


async def plain(program: Path, folder: Path) -> Filled:
    gateway = Gateway(folder, {"hello": None}, upstream=PLAIN)
    async with gateway.running(), apps(program, INSTANCES) as instances:
        gateway.set_hosts("hello", [app.address for app in instances])
        last = f"default/hello::{instances[-1].address}::health_flags"
        while last not in await gateway.admin("/clusters"):
            pass
        return await filled(gateway, instances, INSTANCES)


async def measure() -> Figures:
    of_gate, of_plain, with_others = [], [], []
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as path:
        program = build_app(Path(path))
        for number in track(range(ROUNDS), description="fill"):
            folders = [Path(path) / f"{kind}-{number}" for kind in ("gate", "plain", "others")]
            for folder in folders:
                folder.mkdir()
            of_gate.append(await with_gate(program, folders[0]))
            of_plain.append(await plain(program, folders[1]))
            with_others.append(await with_gate(program, folders[2], others=True))
    figures = Figures(f"containerConcurrency 1, {INSTANCES} instances, 20 ms")
    figures.add("of the time in which instances work, median", median(of_gate), least=0.95)
    figures.add("the same, lowest", min(each.share for each in of_gate))
    figures.add("the same, highest", max(each.share for each in of_gate))
    figures.add(f"plain Envoy with {INSTANCES} clients, median", median(of_plain))
    figures.add("with the gate, while Envoy serves another revision, too, median", median(with_others))
    figures.add("most requests at a time at one instance", max(each.most for each in of_gate + with_others), most=1)
    return figures


def median(of: Sequence[Filled]) -> float:
    return statistics.median(each.share for each in of)


def main() -> Figures:
    if shutil.which("wrk") is None:
        raise SystemExit("bench.fill needs wrk: apt install wrk")
    return uvloop.run(measure())


if __name__ == "__main__":
    main().show()
