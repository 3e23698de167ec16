# SPDX-License-Identifier: Apache-2.0
"""The sandbox of a process: what it adds to a start and to a request. Starts with and without it take turns."""

import asyncio
import os
import socket
import sys
import tempfile
import time
from pathlib import Path

import uvloop

from bench.table import Figures, percentile
from bench.world import build_app
from harness.node import process_runtime
from tidegate.model import names
from tidegate.node.runtime import Launch, RunningContainer
from tidegate.node.runtimes.process.runtime import ProcessRuntime
from tidegate.node.runtimes.process.sandbox import sandboxes

STARTS, REQUESTS = 100, 4_000
MODES = {"sandbox": "", "no sandbox": "none"}


async def measure(folder: Path, app: Path) -> Figures:
    made = sandboxes("auto", folder / "state", folder / "state" / "etc", Path(sys.base_prefix))
    if made.problem:
        raise SystemExit(f"no sandbox can be measured: {made.problem}")
    runtime = process_runtime(folder / "state" / "instances", sandboxes=made)
    starts: dict[str, list[float]] = {mode: [] for mode in MODES}
    requests: dict[str, list[float]] = {mode: [] for mode in MODES}
    for number in range(STARTS):
        for mode in MODES:
            running, port = await start(runtime, app, f"{mode.replace(' ', '-')}-{number}", MODES[mode], starts[mode])
            if number == 0:
                requests[mode] = await asyncio.to_thread(ask, port)
            await running.kill()
    figures = Figures(f"sandbox of a process, over {STARTS} starts and {REQUESTS} requests on one connection")
    for mode in MODES:
        figures.add(f"start to listening, {mode}, p50", percentile(starts[mode], 50) * 1000, "ms")
    added = {at: (percentile(starts["sandbox"], at) - percentile(starts["no sandbox"], at)) * 1000 for at in (10, 50)}
    figures.add("the sandbox adds to a start, p50", added[50], "ms", most=5)
    figures.add("the sandbox adds to a start, p10", added[10], "ms")
    for mode in MODES:
        figures.add(f"request, {mode}, p50", percentile(requests[mode], 50) * 1e6, "µs")
    ratio = percentile(requests["sandbox"], 50) / percentile(requests["no sandbox"], 50)
    figures.add("request, sandbox to no sandbox, p50", ratio, most=1.05)
    return figures


async def start(
    runtime: ProcessRuntime, app: Path, name: str, sandbox: str, times: list[float]
) -> tuple[RunningContainer, int]:
    """Start the app and wait until it listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    container = {"name": "c", "image": names.HOST_IMAGE, "command": [str(app)]}
    metadata = {"uid": name, "name": name, "namespace": "default", "annotations": {names.SANDBOX: sandbox}}
    began = time.perf_counter()
    prepared = await runtime.prepare(Launch({"metadata": metadata, "spec": {"containers": [container]}}, container))
    running = await (await prepared.create({"PORT": str(port)})).start()
    while True:
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                break
        await asyncio.sleep(0.0001)
    times.append(time.perf_counter() - began)
    return running, port


def ask(port: int) -> list[float]:
    """Seconds of each request on one connection."""
    times = []
    with socket.create_connection(("127.0.0.1", port)) as client:
        for _ in range(REQUESTS):
            began = time.perf_counter()
            client.sendall(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            client.recv(4096)
            times.append(time.perf_counter() - began)
    return times


def main() -> Figures:
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as folder:
        os.chmod(folder, 0o755)  # noqa: PTH101 - the app runs from there
        return uvloop.run(measure(Path(folder), build_app(Path(folder))))


if __name__ == "__main__":
    main().show()
