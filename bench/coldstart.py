# SPDX-License-Identifier: Apache-2.0
"""Cold start: the time from a request to the first byte of its answer, for a revision without instances, minus the time
in which the bare process starts to listen; and within it, the time until the instance's exec. The instance reports when
its main began; the time that the bare process takes to its main is subtracted. The request is sent a little before the
gate queues it.

Every start is the first of a service of its own (initial scale 0), so no start waits for a scale-down. It has the
machine to itself: the writes about one start are over before the next one. Another figure is measured without that
pause.
"""

import asyncio
import socket
import subprocess
import time
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from bench.table import Figures, percentile
from bench.world import ASLEEP, fast_service, running
from harness.platform import Platform, eventually, send

STARTS = 100
IN_A_ROW = 50
PAUSE = 0.2  # seconds; longer than the writes about a start take
BURST = 500


class Bare(NamedTuple):
    """Seconds from the call that starts a process to its main, and to the first connection that it accepts."""

    main: float
    listening: float


def bare_start(app: Path) -> Bare:
    """The times of the process alone, without Tidegate."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    called = time.monotonic()
    process = subprocess.Popen([str(app)], env={"PORT": str(port)})
    try:
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    listening = time.monotonic() - called
                    probe.sendall(b"GET / HTTP/1.1\r\n\r\n")
                    return Bare(main_of(probe.recv(1024).decode()) - called, listening)
    finally:
        process.kill()
        process.wait()


def main_of(head: str) -> float:
    """The start of the answering instance's main, on the monotonic clock."""
    began = next(line for line in head.splitlines() if line.startswith("x-began:"))
    return int(began.partition(":")[2]) / 1e9


async def measure(platform: Platform, app: Path) -> Figures:
    names = [f"cold-{number:03}" for number in range(STARTS + IN_A_ROW)]
    platform.apply(*[fast_service(name, app, annotations=ASLEEP) for name in names])
    for name in names:
        platform.wait_ready(name)
    bares = [bare_start(app) for _ in range(STARTS)]
    bare, bare_main = percentile([bare.listening for bare in bares], 50), percentile([bare.main for bare in bares], 50)
    port = urlsplit(platform.gateway).port or 80
    starts, execs = [], []
    for name in names[:STARTS]:
        await asyncio.sleep(PAUSE)
        took, main = await one_start(port, name)
        starts.append(took - bare)
        execs.append(main - bare_main)
    await asyncio.sleep(PAUSE)
    in_a_row = [await first_byte(port, name) - bare for name in names[STARTS:]]
    figures = Figures(f"cold start, over {STARTS} starts, less the bare process's own time")
    figures.add("bare process, exec to listening", bare * 1000, "ms")
    figures.add("p50", percentile(starts, 50) * 1000, "ms", most=10)
    figures.add("p99", percentile(starts, 99) * 1000, "ms", most=30)
    figures.add("bare process, exec to main", bare_main * 1000, "ms")
    figures.add("request sent to the instance's exec, p50", percentile(execs, 50) * 1000, "ms", most=5)
    figures.add("request sent to the instance's exec, p99", percentile(execs, 99) * 1000, "ms")
    figures.add(f"{IN_A_ROW} starts without a pause, p50", percentile(in_a_row, 50) * 1000, "ms")
    figures.add(f"{IN_A_ROW} starts without a pause, p99", percentile(in_a_row, 99) * 1000, "ms")

    platform.apply(fast_service("burst", app, annotations=ASLEEP))
    platform.wait_ready("burst")
    await eventually(lambda: not platform.pods("burst-00001"), "nothing to run")
    async with platform.client("burst") as client:
        answers = await send(client, BURST, at_once=BURST)
    figures.add(f"a burst of {BURST} at zero: failed", BURST - answers["200 ok"], most=0)
    return figures


async def first_byte(port: int, name: str) -> float:
    """Seconds from writing a request on an open connection to the answer's first byte."""
    return (await one_start(port, name))[0]


async def one_start(port: int, name: str) -> tuple[float, float]:
    """The same, and the seconds to the main of the instance that answers."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    sent = time.monotonic()
    writer.write(f"GET / HTTP/1.1\r\nhost: {name}.default.localhost\r\n\r\n".encode())
    first = await reader.readline()
    took = time.monotonic() - sent
    assert b" 200 " in first, first
    head = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    return took, main_of(head.decode()) - sent


def main() -> Figures:
    with running() as (platform, app):
        return asyncio.run(measure(platform, app))


if __name__ == "__main__":
    main().show()
