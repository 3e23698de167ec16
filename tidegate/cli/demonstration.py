# SPDX-License-Identifier: Apache-2.0
"""The demonstration of `tidegate demo`: the main job, end to end, in about a minute.

It starts a Tidegate in a temporary folder, on free ports; deploys two versions of an app from source; splits the
traffic; sends thousands of requests through Envoy; waits for scale to zero; wakes the app; and removes everything. It
prints each result, and fails if a result is wrong.
"""

import asyncio
import math
import os
import signal
import socket
import tempfile
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from tidegate.cli import (
    background,
    connection,
    deployment,
    examples,
    load,
    readiness,
    source_build,
    traffic_split,
    urls,
)
from tidegate.cli.failures import CommandFailure
from tidegate.cli.source_build import SourceFolder
from tidegate.cli.timeline import Timeline
from tidegate.client.http import HttpCluster
from tidegate.client.informer import Informer
from tidegate.kit.clock import RealClock
from tidegate.model import kinds, names
from tidegate.model.objects import Key
from tidegate.settings import Settings

SERVICE = Key("default", "hello")
VERSIONS = ("hello", "hello-v2")
SPLIT = {"hello-00001": 90, "hello-00002": 10}
ANNOTATIONS = {"autoscaling.knative.dev/window": "6s", "autoscaling.knative.dev/target": "5"}
CONCURRENCY = 10
AT_ONCE = 32
WORK = "/?work=0.05"
_READY_SECONDS = 60.0
_ZERO_SECONDS = 60.0
_PAUSE_SECONDS = 1.0  # before and after the wake-up, so that the plot shows it
_SIGMAS = 6  # standard deviations; a larger deviation of a share is not chance
_WIDTH = 60


def show(requests: int) -> None:
    """Run the demonstration and print its results."""
    console = Console(highlight=False, markup=False, soft_wrap=True)
    with running(console) as settings:
        connection.run(Demo(console, settings).run(requests))
    console.print("\nstopped and cleaned up")


@contextmanager
def running(console: Console) -> Iterator[Settings]:
    """A Tidegate in a temporary folder, stopped and removed at the end, also after a signal."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="tidegate-demo-") as folder:
        settings = Settings(Path(folder), http_port=0, https_port=0, internal_port=0, api_port=0)
        began = time.perf_counter()
        try:
            record = background.start(settings, lambda message: None)
            console.print(f"Tidegate is up after {since(began)}, apps answer at {record.endpoints.http}")
            yield settings
        finally:
            background.stop(settings)


def since(began: float) -> str:
    seconds = time.perf_counter() - began
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"


class Demo:
    """The steps of the demonstration."""

    def __init__(self, console: Console, settings: Settings) -> None:
        self._console = console
        self._home = settings.home

    async def run(self, requests: int) -> None:
        async with connection.connected(self._home, warn=None) as cluster, asyncio.TaskGroup() as group:
            pods = Informer(cluster, kinds.POD, namespace=SERVICE.namespace, labels=f"{names.SERVICE}={SERVICE.name}")
            timeline = Timeline(pods, RealClock())
            watchers = [group.create_task(watcher.run(), name="demo watcher") for watcher in (pods, timeline)]
            for version in VERSIONS:
                url = await self._deploy(cluster, version)
            await self._split(cluster)
            results = await self._send(url, requests)
            self._check_split(results)
            await self._wait_for_zero(timeline)
            await asyncio.sleep(_PAUSE_SECONDS)
            await self._wake(url)
            await asyncio.sleep(_PAUSE_SECONDS)
            self._show(timeline)
            for watcher in watchers:
                watcher.cancel()

    async def _deploy(self, cluster: HttpCluster, version: str) -> str:
        source = examples.folder(version)
        began = time.perf_counter()
        bundle = await asyncio.to_thread(
            source_build.built, SourceFolder(source, SERVICE.name, self._home), lambda message: None
        )
        built = since(began)
        began = time.perf_counter()
        wanted = deployment.ServiceChange(bundle.image, annotations=ANNOTATIONS, concurrency=CONCURRENCY)
        changed = await deployment.put(cluster, SERVICE, await deployment.find(cluster, SERVICE), wanted)
        service = await readiness.follow(cluster, changed, readiness.deployed, _READY_SECONDS)
        url = urls.of_service(service, self._home)
        self._console.print(f"deployed {source.name}: built in {built}, ready {since(began)} later at {url}")
        return url

    async def _split(self, cluster: HttpCluster) -> None:
        began = time.perf_counter()
        targets = traffic_split.desired_traffic([], SPLIT, {}, ())
        changed = await cluster.patch(kinds.SERVICE, SERVICE, {"spec": {"traffic": targets}})
        await readiness.follow(cluster, changed, readiness.routed, _READY_SECONDS)
        split = ", ".join(f"{percent} % to {revision}" for revision, percent in SPLIT.items())
        self._console.print(f"split {split}: in effect after {since(began)}")

    async def _send(self, url: str, count: int) -> load.LoadResults:
        """Send the requests; show a progress bar on a terminal."""
        self._console.print(f"sending {count} requests, {AT_ONCE} at a time, each 50 ms of work")
        results = load.LoadResults()
        bar = Progress(
            TextColumn("  "),
            BarColumn(_WIDTH),
            MofNCompleteColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        began = time.perf_counter()
        with bar:
            task = bar.add_task("requests", total=count)

            def record(result: load.LoadResult) -> None:
                results.all.append(result)
                bar.advance(task)

            await load.send(load.LoadTarget(*address(url), WORK), count=count, at_once=AT_ONCE, on_result=record)
        rate = count / (time.perf_counter() - began)
        self._console.print(
            f"answered {count - len(results.failed)}, failed {len(results.failed)}; {rate:.0f} requests/s, "
            f"p50 {results.percentile(50):.0f} ms, p99 {results.percentile(99):.0f} ms"
        )
        return results

    def _check_split(self, results: load.LoadResults) -> None:
        """Print the share of each revision. Raises `CommandFailure` if a request failed or a share is wrong."""
        if results.failed:
            raise CommandFailure(f"{len(results.failed)} requests failed, the first with: {results.failed[0].body}")
        table = Table("revision", "requested", "actual", "requests", box=None, padding=(0, 2), header_style="bold")
        total = len(results.all)
        for revision, percent in SPLIT.items():
            got = results.shares[revision]
            table.add_row(revision, f"{percent} %", f"{100 * got / total:.1f} %", str(got))
        self._console.print(table)
        for revision, percent in SPLIT.items():
            if not is_fair(results.shares[revision], total, percent):
                raise CommandFailure(
                    f"{revision} got {results.shares[revision]} of {total} requests instead of {percent} %"
                )

    async def _wait_for_zero(self, timeline: Timeline) -> None:
        began = time.perf_counter()
        with self._console.status("waiting until no instance is left"):
            try:
                async with asyncio.timeout(_ZERO_SECONDS):
                    await timeline.empty.wait()
            except TimeoutError as error:
                raise CommandFailure(f"the app did not scale to zero within {_ZERO_SECONDS:.0f} s") from error
        self._console.print(f"scaled to zero {since(began)} after the last request (window 6 s)")

    async def _wake(self, url: str) -> None:
        connection = load.LoadConnection(*address(url))
        answer = await connection.get("/")
        connection.close()
        if answer.status != 200:
            raise CommandFailure(f"the first request at zero got status {answer.status}: {answer.body}")
        own = await own_start(examples.folder(VERSIONS[0]))
        self._console.print(
            f'woke up for another request: "{answer.body.strip()}" after {answer.seconds * 1000:.0f} ms; '
            f"the app by itself takes {own * 1000:.0f} ms to start"
        )

    def _show(self, timeline: Timeline) -> None:
        self._console.print(f"\ninstances over the last {timeline.seconds:.0f} s")
        for revision in SPLIT:
            self._console.print(f"  {revision}  {timeline.line(revision, _WIDTH)}  at most {timeline.most(revision)}")


def address(url: str) -> tuple[tuple[str, int], str]:
    """The address on this machine for a URL, and the host for the Host header."""
    parts = urllib.parse.urlsplit(url)
    return ("127.0.0.1", parts.port or 80), parts.hostname or ""


async def own_start(source: Path) -> float:
    """Seconds that an example takes to start without Tidegate, until it listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    began = time.perf_counter()
    app = await asyncio.create_subprocess_exec(
        "python3", "app.py", cwd=source, env={**os.environ, "PORT": str(port)}, stdout=asyncio.subprocess.PIPE
    )
    if app.stdout is not None:
        await app.stdout.readline()  # it prints a line when it listens
    took = time.perf_counter() - began
    app.terminate()
    await app.communicate()
    return took


def is_fair(got: int, total: int, percent: int) -> bool:
    """Whether a share is within six standard deviations of `percent`."""
    share = percent / 100
    return abs(got - total * share) <= _SIGMAS * math.sqrt(total * share * (1 - share))
