# SPDX-License-Identifier: Apache-2.0
"""What the gate costs, and what it holds: `python -m bench.gate`. Needs wrk.

Throughput and latency are ratios: the same Envoy with the gate and without (least request), in turns, in one run, with
the same backends; beside them, an Envoy with a module that does nothing, and the Envoy without the gate once more. The
backends are listeners of another Envoy that answer by themselves. All of it shares the cores of this machine, so the
ratios show what a request costs in total, not what one proxy could do alone.

Two Envoys of the same configuration differ by some per cent for as long as they live. So there are several of each
kind, one after the other, and a figure is the median over them; what the second Envoy without the gate has shows how
much of it is chance. Where the machine is shared the rates of single rounds spread by a fifth and more;
`bench.instructions` is what tells then.
"""

import asyncio
import re
import resource
import shutil
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import psutil
import uvloop

from bench.nothing import Nothing
from bench.table import Figures, percentile
from tests.gateway.gate import Client, Gateway, JsonObject, address_of, instances

MOST = 500  # instances
COUNTS = {1: 8, 10: 2, 100: 8, 500: 2}  # of instances -> with how many Envoys of each kind
ROUNDS = 3  # with each of them
SECONDS = 1  # of each round; short ones, since what disturbs them comes and goes
CONNECTIONS = 32
WAITING = 10_000
ACTIVATIONS = 200
PLAIN: JsonObject = {"lb_policy": "LEAST_REQUEST"}  # of an Envoy without the gate
UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}


async def wrk(
    port: int, path: str = "/", *, connections: int = CONNECTIONS, seconds: int = SECONDS
) -> tuple[float, float]:
    """Requests a second, and the latency in seconds that 99 % do not exceed."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-H", "Host: hello"]
    process = await asyncio.create_subprocess_exec(
        *command, f"http://127.0.0.1:{port}{path}", stdout=asyncio.subprocess.PIPE
    )
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


@asynccontextmanager
async def gateways() -> AsyncIterator[tuple[Sequence[Gateway], list[str]]]:
    """An Envoy with the gate, one without, one with a module that does nothing, another without; and the backends'
    addresses."""
    async with AsyncExitStack() as stack:
        folders = [Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tidegate-bench-"))) for _ in range(5)]
        gated = await stack.enter_async_context(Gateway(folders[0], {"hello": {}}, workers=1).running())
        plain = Gateway(folders[1], {"hello": None}, workers=1, upstream=PLAIN)
        await stack.enter_async_context(plain.running())
        nothing = Nothing(folders[2], {"hello": None}, workers=1, upstream=PLAIN)
        await stack.enter_async_context(nothing.running())
        again = Gateway(folders[3], {"hello": None}, workers=1, upstream=PLAIN)
        await stack.enter_async_context(again.running())
        backends = Backends(folders[4], {}, workers=1)
        await stack.enter_async_context(backends.running())
        yield (gated, plain, nothing, again), await backends.addresses()


async def compare(figures: Figures) -> None:
    measured: dict[int, list[list[Ratios]]] = {count: [] for count in COUNTS}
    for number in range(max(COUNTS.values())):
        async with gateways() as (kinds, addresses):
            for count, envoys in COUNTS.items():
                if number < envoys:
                    for gateway in kinds:
                        gateway.set_hosts("hello", addresses[:count])
                    await kinds[0].reports.until(partial(knows, kinds[0], count))
                    measured[count].append(await ratios(kinds, first=number))
    for count, of in measured.items():
        gated, nothing, again = ([each[kind] for each in of] for kind in (0, 2, 3))
        what, is_promised = f"{count} instances", count in {1, 100}
        least = {1: 0.97, 100: 0.95}.get(count)
        figures.add(f"{what}: throughput, of plain Envoy's", median(gated).rate, least=least)
        figures.add(f"{what}: the same with a module that does nothing", median(nothing).rate)
        rates = [each.rate for each in again]
        figures.add(f"{what}: the same with plain Envoy once more, least", min(rates))
        figures.add(f"{what}: the same with plain Envoy once more, most", max(rates))
        figures.add(f"{what}: Envoy's CPU a request, of plain Envoy's", median(gated).work)
        figures.add(f"{what}: p99, of plain Envoy's", median(gated).slow, most=1.1 if is_promised else None)


class Ratios(NamedTuple):
    """Of one Envoy, to plain Envoy: requests a second, p99, CPU a request."""

    rate: float
    slow: float
    work: float


def median(of: Sequence[Ratios]) -> Ratios:
    return Ratios(*(statistics.median(figures) for figures in zip(*of, strict=True)))


async def ratios(kinds: Sequence[Gateway], *, first: int) -> list[Ratios]:
    """Of each of them to the second, over a few rounds."""
    rounds = [await in_turns(kinds, first=(first + number) % len(kinds)) for number in range(ROUNDS)]
    return [
        median([Ratios(*(mine / plain for mine, plain in zip(of[kind], of[1], strict=True))) for of in rounds])
        for kind in range(len(kinds))
    ]


async def in_turns(gateways: Sequence[Gateway], *, first: int) -> list[tuple[float, float, float]]:
    """One round of all, in the order given: rate, p99 and seconds of CPU a request of each. Which of them runs `first`
    changes from round to round."""
    figures: dict[int, tuple[float, float, float]] = {}
    for gateway in [*gateways[first:], *gateways[:first]]:
        envoy = psutil.Process(gateway.process.pid)
        before = sum(envoy.cpu_times()[:2])
        rate, slow = await wrk(gateway.port)
        figures[id(gateway)] = rate, slow, (sum(envoy.cpu_times()[:2]) - before) / (rate * SECONDS)
    return [figures[id(gateway)] for gateway in gateways]


def knows(gateway: Gateway, count: int) -> bool:
    return len(gateway.reports.latest.get("default/hello", {"hosts": []})["hosts"]) == count


async def fill(figures: Figures, folder: Path) -> None:
    """Eight instances, one request at a time each, 20 ms of work: how much of 400 requests a second.

    What is missing is the time from an instance's answer to its next request, most of it the machine's and the app's.
    So the same app is also measured behind plain Envoy, with one client for each instance, as full as that can be.
    """
    path, count = "/work/0.02", 8
    (folder / "plain").mkdir()
    plain = Gateway(folder / "plain", {"hello": None}, upstream=PLAIN)
    async with plain.running(), instances(count) as apps:
        plain.set_hosts("hello", apps)
        while f"default/hello::{apps[-1].address}::health_flags" not in await plain.admin("/clusters"):
            pass
        best, _ = await wrk(plain.port, path, connections=count, seconds=5)
    async with Gateway(folder, {"hello": {"containerConcurrency": 1}}).running() as gateway, instances(count) as apps:
        gateway.set_hosts("hello", apps)
        await gateway.reports.until_of("hello", lambda report: len(report["hosts"]) == len(apps))
        rate, _ = await wrk(gateway.port, path, connections=64, seconds=5)
        took = sum(app.worked for app in apps) / sum(app.served for app in apps)  # a little more than asked for
        what = f"containerConcurrency 1, {count} instances, 20 ms"
        figures.add(f"{what}: of the ideal rate", rate * took / len(apps), least=0.95)
        figures.add(f"{what}: of plain Envoy's with {count} clients", rate / best)
        figures.add("most requests at a time at one instance", max(app.most for app in apps), most=1)


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
        figures.add("a first waiter until it is told of: p50", percentile(took, 50), "ms")
        figures.add("a first waiter until it is told of: p99", percentile(took, 99), "ms", most=2)


async def measure() -> Figures:
    figures = Figures("the gate")
    await compare(figures)
    for part in (fill, activate, hold):
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
