# SPDX-License-Identifier: Apache-2.0
"""`tidegate up --gateways 2`: two Envoys on the same ports share the instances of every revision, also after a kill."""

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.platform import Platform, eventually, running, send, service

pytestmark = [pytest.mark.flow, pytest.mark.needs("kubectl")]


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    with running(tmp_path / "home", gateways=2) as platform:
        yield platform


async def test_two_gateways_share_container_concurrency_and_restart_after_a_kill(
    platform: Platform,
) -> None:
    scale = {"autoscaling.knative.dev/min-scale": "2", "autoscaling.knative.dev/max-scale": "2"}
    platform.apply(service("shared", annotations=scale, containerConcurrency=1))
    platform.wait_ready("shared")
    status = platform.status()
    assert len(set(status["gateway"]["pids"])) == 2

    async with platform.client("shared") as client:
        load = asyncio.create_task(send(client, 1500, at_once=20, path="/?sleep=0.002"))
        await asyncio.to_thread(platform.crash)
        assert await load == {"200 hello shared-00001": 1500}
        assert platform.status()["gateway"] == status["gateway"]
        most = {(await client.get("/")).text.split()[3] for _ in range(10)}
        assert most == {"1"}

    killed = status["gateway"]["pids"][1]
    os.kill(killed, signal.SIGKILL)
    await eventually(lambda: len({*platform.status()["gateway"]["pids"]} - {killed}) == 2, "another gateway")
    async with platform.client("shared") as client:
        assert await send(client, 200, at_once=20) == {"200 hello shared-00001": 200}
