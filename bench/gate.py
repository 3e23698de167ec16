# SPDX-License-Identifier: Apache-2.0
"""What the gate costs, and what it holds: `python -m bench.gate`. Needs wrk.

Throughput and latency are ratios: the same Envoy with the gate and without (least request), in turns, in one run, with
the same backends; beside them, a second Envoy without the gate. The backends are listeners of another Envoy that
answer by themselves. All of it shares the cores of this machine, so the ratios show what a request costs in total, not
what one proxy could do alone.

Disturbances of a shared machine last for seconds. So for the rates, all Envoys are loaded at once and take turns of a
tenth of a second, in which the clients of the others stand still: a disturbance affects all of them alike. Two Envoys
of the same configuration differ by some per cent for as long as they live. So there are several of each kind, and a
figure is the median over them; its standard error, and the figure of the second Envoy without the gate, show how much
of it is chance.
Latencies, for which the clients have to be alone, are measured in rounds of a second and spread more.
`bench.instructions` measures the costs without chance, but not in requests a second.

The Envoy without the gate counts answers and times of its clusters, which is its default. With the
gate it need not, since the gate does (`tidegate/xds/module.py`). One that does not either is there to compare.
"""

import asyncio
import math
import random
import re
import resource
import shutil
import signal
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import psutil
import uvloop
from rich.progress import track

from bench.table import Figures, percentile
from harness.gate import Client, Gateway, JsonObject, address_of, instances

MOST = 500  # instances
COUNTS = {1: 20, 10: 4, 100: 20, 500: 4}  # of instances -> with how many Envoys of each kind
TURNS = 25  # that each of them has
TURN = 0.1  # seconds
PAUSE = 0.005  # seconds between turns, in which running requests end
ROUNDS, SECONDS = 3, 1  # for the latencies
CONNECTIONS = 32
WAITING = 10_000
ACTIVATIONS = 200
PLAIN: JsonObject = {"lb_policy": "LEAST_REQUEST"}  # of an Envoy without the gate
GATE, ENVOY = "the gate", "plain Envoy"
Value = TypeVar("Value")
UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}


async def start_wrk(
    port: int, path: str = "/", *, host: str = "hello", connections: int = CONNECTIONS, seconds: int
) -> asyncio.subprocess.Process:
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-H", f"Host: {host}"]
    return await asyncio.create_subprocess_exec(
        *command, f"http://127.0.0.1:{port}{path}", stdout=asyncio.subprocess.PIPE
    )


async def wrk(port: int, path: str = "/", **options: Any) -> tuple[float, float]:
    """Requests a second, and the latency in seconds that 99 % do not exceed."""
    process = await start_wrk(port, path, **options)
    text = (await process.communicate())[0].decode()
    if "Non-2xx" in text:
        raise RuntimeError(f"not every answer was 200:\n{text}")
    rate = re.search(r"Requests/sec: +([\d.]+)", text)
    slow = re.search(r"99% +([\d.]+)(us|ms|s)", text)
    assert rate is not None and slow is not None, text
    return float(rate[1]), float(slow[1]) * UNITS[slow[2]]


class Backends(Gateway):
    """An Envoy whose listeners answer every request by themselves."""

    def bootstrap(self) -> JsonObject:
        config = super().bootstrap()
        (listener,) = config["static_resources"]["listeners"]
        http = listener["filter_chains"][0]["filters"][0]["typed_config"]
        answer = {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": "ok\n"}}}
        http["route_config"] = {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [answer]}]}
        config["static_resources"]["listeners"] = [
            {**listener, "name": f"instance-{number}", "address": address_of("127.0.0.1:0")} for number in range(MOST)
        ]
        return config

    async def addresses(self) -> list[str]:
        listeners = await self.admin("/listeners?format=json")
        addresses = [each["local_address"]["socket_address"] for each in listeners["listener_statuses"]]
        return [f"{each['address']}:{each['port_value']}" for each in addresses]


class Quiet(Gateway):
    """An Envoy without the gate that does not count answers and times of its clusters either."""

    def router(self) -> JsonObject:
        return {**super().router(), "dynamic_stats": False}


Kinds = Mapping[str, Gateway]  # by what they are called in the figures


@asynccontextmanager
async def gateways() -> AsyncIterator[tuple[Kinds, list[str]]]:
    """An Envoy of each kind, and the backends' addresses."""
    async with AsyncExitStack() as stack:
        folders = [Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tidegate-bench-"))) for _ in range(5)]
        without: dict[str, Any] = {"revisions": {"hello": None}, "workers": 1, "upstream": PLAIN}
        kinds = {
            GATE: Gateway(folders[0], {"hello": {}}, workers=1),
            ENVOY: Gateway(folders[1], **without),
            "plain Envoy without counts of clusters": Quiet(folders[2], **without),
            "a second plain Envoy": Gateway(folders[3], **without),
        }
        for gateway in shuffled(kinds.values()):
            await stack.enter_async_context(gateway.running())
        backends = Backends(folders[4], {}, workers=1)
        await stack.enter_async_context(backends.running())
        yield kinds, await backends.addresses()


async def compare(figures: Figures) -> None:
    measured: dict[int, list[dict[str, Ratios]]] = {count: [] for count in COUNTS}
    for number in track(range(max(COUNTS.values())), description="the gate and plain Envoy"):
        async with gateways() as (kinds, addresses):
            for count, envoys in COUNTS.items():
                if number < envoys:
                    for gateway in kinds.values():
                        gateway.set_hosts("hello", addresses[:count])
                    await kinds[GATE].reports.until(partial(knows, kinds[GATE], count))
                    measured[count].append(await ratios(kinds))
    for count, of in measured.items():
        gated = [each[GATE] for each in of]
        what, is_promised = f"{count} instances", count in {1, 100}
        least = {1: 0.97, 100: 0.95}.get(count)
        figures.add(f"{what}: throughput, of plain Envoy's", median(gated).rate, least=least)
        figures.add(f"{what}: its standard error", standard_error([each.rate for each in gated]))
        for kind in [kind for kind in of[0] if kind not in (GATE, ENVOY)]:
            figures.add(f"{what}: the same of {kind}", median([each[kind] for each in of]).rate)
        figures.add(f"{what}: Envoy's CPU a request, of plain Envoy's", median(gated).work)
        figures.add(f"{what}: p99, of plain Envoy's", median(gated).slow, most=1.1 if is_promised else None)


class Ratios(NamedTuple):
    """The ratios of one Envoy to plain Envoy: requests a second, CPU per request, p99."""

    rate: float
    work: float
    slow: float


def median(of: Sequence[Ratios]) -> Ratios:
    return Ratios(*(statistics.median(figures) for figures in zip(*of, strict=True)))


def standard_error(values: Sequence[float]) -> float:
    """The standard error of the mean, which is close enough for the median."""
    return statistics.stdev(values) / math.sqrt(len(values))


async def ratios(kinds: Kinds) -> dict[str, Ratios]:
    """The ratios of each Envoy to plain Envoy."""
    fast = dict(zip(kinds, await in_turns(list(kinds.values())), strict=True))
    rounds = [
        {kind: (await wrk(kinds[kind].port, seconds=SECONDS))[1] for kind in shuffled(kinds)} for _ in range(ROUNDS)
    ]
    (plain_rate, plain_work) = fast[ENVOY]
    return {
        kind: Ratios(
            rate / plain_rate, work / plain_work, statistics.median(slow[kind] / slow[ENVOY] for slow in rounds)
        )
        for kind, (rate, work) in fast.items()
    }


async def in_turns(gateways: Sequence[Gateway]) -> list[tuple[float, float]]:
    """Requests a second and seconds of CPU per request of each Envoy, over its turns."""
    seconds = math.ceil(len(gateways) * (TURNS + 5) * (TURN + PAUSE)) + 5  # so that they end by themselves if this does
    loads = [await start_wrk(gateway.port, seconds=seconds) for gateway in gateways]
    try:
        await asyncio.sleep(0.5)  # all are connected
        for load in loads:
            load.send_signal(signal.SIGSTOP)
        await asyncio.sleep(TURN)
        before = [await spent(gateway) for gateway in gateways]
        loaded = [0.0] * len(gateways)
        for _ in range(TURNS):
            for number in shuffled(range(len(gateways))):
                loaded[number] += await turn(loads[number])
        after = [await spent(gateway) for gateway in gateways]
    finally:
        for load in loads:
            load.kill()
            await load.wait()
    requests, work = ([new[of] - old[of] for new, old in zip(after, before, strict=True)] for of in (0, 1))
    return [(count / time, cpu / count) for count, cpu, time in zip(requests, work, loaded, strict=True)]


async def turn(load: asyncio.subprocess.Process) -> float:
    """Let its clients run for a while; returns the seconds."""
    began = time.monotonic()
    load.send_signal(signal.SIGCONT)
    await asyncio.sleep(TURN)
    load.send_signal(signal.SIGSTOP)
    took = time.monotonic() - began
    await asyncio.sleep(PAUSE)
    return took


async def spent(gateway: Gateway) -> tuple[int, float]:
    """Requests answered so far, and seconds of CPU."""
    text = await gateway.admin("/stats?filter=^http.gateway.downstream_rq_completed$")
    return int(text.rpartition(": ")[2]), sum(psutil.Process(gateway.process.pid).cpu_times()[:2])


def shuffled(values: Iterable[Value]) -> list[Value]:
    """A random order, so that no Envoy always follows the same one."""
    return random.sample(ordered := list(values), len(ordered))


def knows(gateway: Gateway, count: int) -> bool:
    return len(gateway.reports.latest.get("default/hello", {"hosts": []})["hosts"]) == count


async def hold(figures: Figures, folder: Path) -> None:
    """Many requests that wait for a first instance, each on a connection of its own."""
    bound = {"containerConcurrency": 100}  # so that the instances, too, find files for their connections
    async with Gateway(folder, {"hello": bound}).running() as gateway, instances(4) as apps, AsyncExitStack() as stack:
        envoy = psutil.Process(gateway.process.pid)
        before = envoy.memory_info().rss
        clients = [await stack.enter_async_context(Client(gateway.port, "hello")) for _ in range(WAITING)]
        while f"http.gateway.downstream_cx_active: {WAITING}" not in await gateway.admin("/stats"):
            pass
        connected = envoy.memory_info().rss
        for client in clients:
            client.send("/")
        await gateway.reports.until_of("hello", lambda report: report["queued"] == WAITING)
        waiting = envoy.memory_info().rss
        figures.add("a connection: memory", (connected - before) / WAITING / 1000, "kB")
        figures.add(
            f"a request that waits, of {WAITING}: memory", (waiting - connected) / WAITING / 1000, "kB", most=20
        )
        gateway.set_hosts("hello", apps)
        answers = await asyncio.gather(*[client.answer() for client in clients])
        figures.add("of these, not answered with 200", sum(answer.status != 200 for answer in answers), most=0)


async def activate(figures: Figures, folder: Path) -> None:
    """From a request's first byte on its way to a revision without instances, to its report in the control plane."""
    async with Gateway(folder, {"hello": {}}).running() as gateway:
        took = []
        for _ in range(ACTIVATIONS):
            async with Client(gateway.port, "hello") as client:
                began = time.monotonic()
                client.send("/")
                await gateway.reports.until_of("hello", lambda report: report["queued"] == 1)
                took.append((gateway.reports.packets[-1]["heard"] - began) * 1000)
            await gateway.reports.until_of("hello", lambda report: report["queued"] == 0)
        figures.add("a first waiting request until its report: p50", percentile(took, 50), "ms")
        figures.add("a first waiting request until its report: p99", percentile(took, 99), "ms", most=2)


async def measure() -> Figures:
    figures = Figures("the gate")
    await compare(figures)
    for part in (activate, hold):
        with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as folder:
            await part(figures, Path(folder))
    return figures


def main() -> Figures:
    if shutil.which("wrk") is None:
        raise SystemExit("bench.gate needs wrk: apt install wrk")
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # both ends of every waiting request are files
    return uvloop.run(measure())


if __name__ == "__main__":
    main().show()
