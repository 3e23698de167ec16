# SPDX-License-Identifier: Apache-2.0
"""Killed control planes and Envoys: instances keep running, and `down` leaves no process."""

import asyncio
import os
import signal
import socket
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from harness.platform import Platform, eventually, running, send, service

pytestmark = [pytest.mark.flow, pytest.mark.needs("kubectl")]


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    """A Tidegate for one test, since each of these tests kills a part of it."""
    with running(tmp_path / "home") as platform:
        yield platform


def instances(platform: Platform, revision: str) -> dict[str, str]:
    """The container ID of each Pod, which has its process id."""
    return {
        pod["metadata"]["name"]: pod["status"]["containerStatuses"][0]["containerID"] for pod in platform.pods(revision)
    }


async def test_a_control_plane_killed_under_load_restarts_and_adopts_everything_without_a_failed_request(
    platform: Platform,
) -> None:
    platform.apply(service("steady", annotations={"autoscaling.knative.dev/min-scale": "2"}))
    platform.wait_ready("steady")
    before, status, gateway = instances(platform, "steady-00001"), platform.status(), platform.gateway

    async with platform.client("steady") as client:
        load = asyncio.create_task(send(client, 4000, at_once=8, path="/?sleep=0.002"))
        await asyncio.to_thread(platform.crash)
        answers: Counter[str] = await load

        assert answers == {"200 hello steady-00001": 4000}
        assert instances(platform, "steady-00001") == before
        assert platform.gateway == gateway
        assert platform.status()["gateway"]["pid"] == status["gateway"]["pid"]

        # A later change reaches the adopted gateway.
        platform.apply(service("steady", greeting="changed", annotations={"autoscaling.knative.dev/min-scale": "2"}))
        platform.wait_ready("steady")
        assert (await client.get("/")).text.split()[:2] == ["changed", "steady-00002"]


async def test_a_killed_envoy_is_replaced_with_the_same_routes(platform: Platform) -> None:
    platform.apply(service("phoenix", annotations={"autoscaling.knative.dev/min-scale": "1"}))
    platform.wait_ready("phoenix")
    old = platform.status()["gateway"]["pid"]

    os.kill(old, signal.SIGKILL)
    await eventually(lambda: platform.status()["gateway"]["pid"] not in (None, old), "a new Envoy")

    async with platform.client("phoenix") as client:
        answers = await send(client, 50, at_once=5)
    assert answers == {"200 hello phoenix-00001": 50}


@pytest.mark.parametrize("keeper", [True, False], ids=["with its keeper", "without its keeper"])
async def test_down_stops_all_processes_even_after_the_control_plane_was_killed(
    platform: Platform, keeper: bool
) -> None:
    platform.apply(service("stopped", annotations={"autoscaling.knative.dev/min-scale": "2"}))
    platform.wait_ready("stopped")
    home = str(platform.home)
    if keeper:
        os.kill(platform.status()["process"]["pid"], signal.SIGKILL)
    else:
        platform.abandon()

    platform.stop()

    left = [process.cmdline() for process in psutil.process_iter() if belongs_to(process, home)]
    assert left == []


def belongs_to(process: psutil.Process, home: str) -> bool:
    """Whether the Tidegate in `home` started a process: its command line or its open files have that path."""
    try:
        return home in " ".join(process.cmdline()) or any(home in file.path for file in process.open_files())
    except psutil.Error:
        return False


IGNORES_SIGTERM = """
import os, signal, socket
signal.signal(signal.SIGTERM, lambda *_: print("ignores SIGTERM", flush=True))
server = socket.create_server(("127.0.0.1", int(os.environ["PORT"])))
while True:
    server.accept()[0].close()
"""


async def test_down_closes_the_gateway_before_it_ends_the_instances(platform: Platform) -> None:
    """Otherwise a request that arrives between the two would get a 503."""
    stubborn = service("stubborn", annotations={"autoscaling.knative.dev/min-scale": "1"})
    stubborn["spec"]["template"]["spec"]["containers"][0]["command"] = [sys.executable, "-c", IGNORES_SIGTERM]
    platform.apply(stubborn)
    platform.wait_ready("stubborn")
    gateway = urlsplit(platform.gateway)
    (pod,) = platform.pods("stubborn-00001")
    log = platform.home / "instances" / pod["metadata"]["uid"] / "user-container.log"
    app = psutil.Process(int(pod["status"]["containerStatuses"][0]["containerID"].split("/")[-1].partition(".")[0]))

    stopping = asyncio.create_task(asyncio.to_thread(platform.stop))
    await eventually(lambda: "ignores SIGTERM" in log.read_text(), "SIGTERM")

    assert app.is_running()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((gateway.hostname or "", gateway.port or 0))
    app.kill()
    await stopping
