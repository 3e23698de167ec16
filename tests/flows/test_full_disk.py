# SPDX-License-Identifier: Apache-2.0
"""A full disk: no process ends, no acknowledged write is lost, and Tidegate recovers when there is free space."""

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from harness.platform import Platform, eventually, running, send, service
from tests.disk import Disk, small_disk

__all__ = ["small_disk"]
pytestmark = [pytest.mark.flow, pytest.mark.needs("kubectl")]


@pytest.fixture
def platform(small_disk: Disk) -> Iterator[Platform]:
    with running(small_disk.path / "home") as platform:
        yield platform
        small_disk.free()  # `down` is not under test


def config_map(name: str) -> Any:
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"text": "x" * 500_000}}


def create(platform: Platform, name: str) -> "subprocess.CompletedProcess[str]":
    command = ["kubectl", "--kubeconfig", str(platform.home / "kubeconfig"), "create", "-f", "-"]
    return subprocess.run(command, input=json.dumps(config_map(name)), capture_output=True, text=True, check=False)


def unhealthy(platform: Platform) -> dict[str, str]:
    """The parts that do not run, with their last error."""
    return {part["name"]: part["lastError"] for part in platform.status()["parts"] if part["state"] != "running"}


@pytest.mark.parametrize("small_disk", [96], indirect=True)
async def test_a_full_disk_refuses_writes_serves_requests_and_recovers_by_itself(
    platform: Platform, small_disk: Disk
) -> None:
    platform.apply(service("steady", annotations={"autoscaling.knative.dev/min-scale": "1"}))
    platform.wait_ready("steady")
    before = platform.status()
    assert unhealthy(platform) == {}

    small_disk.fill()
    acknowledged: list[str] = []
    while (done := create(platform, f"map-{len(acknowledged)}")).returncode == 0:
        acknowledged.append(f"map-{len(acknowledged)}")
        small_disk.fill()
    assert acknowledged, "the database reserves some space"
    assert "the state database could not be written: no space left on device" in done.stderr

    async with platform.client("steady") as client:
        assert await send(client, 200, at_once=8) == {"200 hello steady-00001": 200}
    store = next(part for part in platform.status()["parts"] if part["name"] == "store")
    assert store["lastError"] == "the state database could not be written: no space left on device"
    shown = platform.cli("status", check=False)
    assert shown.returncode == 4
    assert "short of room" in shown.stdout
    assert "no space left on device" in shown.stdout

    platform.crash()  # the restarted control plane adopts the instances
    async with platform.client("steady") as client:
        assert await send(client, 200, at_once=8) == {"200 hello steady-00001": 200}

    small_disk.free()
    await eventually(lambda: create(platform, "afterwards").returncode == 0, "a write to be taken")
    await eventually(lambda: not unhealthy(platform), "all parts to run again")
    found = platform.kubectl("get", "configmaps", "-o", "name").splitlines()
    assert {f"configmap/{name}" for name in (*acknowledged, "afterwards")} <= set(found)
    assert platform.status()["gateway"] == before["gateway"]

    platform.apply(service("steady", greeting="changed", annotations={"autoscaling.knative.dev/min-scale": "1"}))
    platform.wait_ready("steady")
    async with platform.client("steady") as client:
        assert (await client.get("/")).text.split()[:2] == ["changed", "steady-00002"]
