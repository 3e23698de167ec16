# SPDX-License-Identifier: Apache-2.0
"""A revision at zero with a frozen instance: it uses no CPU, and the same process answers the next request."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from harness.platform import Platform, eventually, running, service

pytestmark = [pytest.mark.flow, pytest.mark.needs("kubectl")]

ONE = {"tidegate.dev/standby": "1", "autoscaling.knative.dev/window": "6s"}


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    """A Tidegate for one test, which kills it."""
    with running(tmp_path / "home") as platform:
        yield platform


def stands_by(platform: Platform) -> bool:
    pods = platform.pods("sleepy-00001")
    return len(pods) == 1 and pods[0]["status"].get("reason") == "Standby"


async def answered_by(client: httpx.AsyncClient) -> int:
    """The process id of the instance that responds."""
    answer = await client.get("/")
    assert answer.status_code == 200, answer.text
    return int(answer.text.split()[2])


async def test_a_frozen_instance_is_woken_by_a_request_also_after_a_kill_of_the_control_plane(
    platform: Platform,
) -> None:
    """Without a sandbox, in which an app does not know its process id on this host."""
    platform.apply(service("sleepy", annotations={**ONE, "tidegate.dev/sandbox": "none"}))
    platform.wait_ready("sleepy")
    async with platform.client("sleepy") as client:
        process = psutil.Process(await answered_by(client))
        await eventually(lambda: stands_by(platform), "an instance on standby")
        assert "Standby" in platform.kubectl("get", "pods")
        before = process.cpu_times()
        await asyncio.sleep(0.5)
        assert process.cpu_times() == before
        assert is_frozen(process)

        await asyncio.to_thread(platform.crash)
        assert stands_by(platform)
        assert is_frozen(process)
        assert platform.status()["services"][0]["standby"] == 1

        assert await answered_by(client) == process.pid
        assert not is_frozen(process)


def is_frozen(process: psutil.Process) -> bool:
    """Whether a process is frozen, by a signal or by its control group."""
    if process.status() == psutil.STATUS_STOPPED:
        return True
    for line in Path(f"/proc/{process.pid}/cgroup").read_text().splitlines():
        number, controller, group = line.split(":", 2)
        for file, value in (("cgroup.events", "frozen 1"), ("freezer.state", "FROZEN")):
            for tree in ("", "unified", controller):
                path = Path("/sys/fs/cgroup") / tree / group.lstrip("/") / file
                if (number == "0" or controller == "freezer") and path.exists() and value in path.read_text():
                    return True
    return False
