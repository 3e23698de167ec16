# SPDX-License-Identifier: Apache-2.0
"""The Node says when its disk is short of room."""

import asyncio
from pathlib import Path
from typing import Any

from harness.apiserver import cluster_of, opened
from harness.node import context_of
from harness.waiting import eventually
from tests.disk import Disk, small_disk
from tidegate.client.cluster import Cluster
from tidegate.images.store import ImageStore
from tidegate.kit.clock import VirtualClock
from tidegate.model.kinds import EVENT, NODE
from tidegate.model.objects import status
from tidegate.node.machine import Machine, resources

__all__ = ["small_disk"]


async def pressure(cluster: Cluster, wanted: str) -> Any:
    """The Node's condition, once it has that status."""
    found: list[Any] = []

    async def has_it() -> bool:
        nodes = (await cluster.list(NODE)).items
        found[:] = [each for node in nodes for each in status(node)["conditions"] if each["type"] == "DiskPressure"]
        return bool(found) and found[0]["status"] == wanted

    await eventually(has_it, f"DiskPressure {wanted}")
    return found[0]


async def test_a_full_disk_is_a_condition_and_an_event_until_it_has_room(tmp_path: Path, small_disk: Disk) -> None:
    clock = VirtualClock()
    async with opened(tmp_path, clock) as api:
        cluster = cluster_of(api, "node")
        context = context_of(cluster, clock)
        machine = Machine(context, "here", resources(), small_disk.path, ImageStore(tmp_path / "images"))
        tasks = [asyncio.create_task(part.run()) for part in (machine, context.recorder)]
        began = await pressure(cluster, "False")
        assert began["reason"] == "KubeletHasNoDiskPressure"

        small_disk.fill()
        await clock.advance(10)
        short = await pressure(cluster, "True")
        assert (short["reason"], short["message"]) == (
            "KubeletHasDiskPressure",
            f"0 B are free in {small_disk.path}",
        )
        assert short["lastTransitionTime"] != began["lastTransitionTime"]

        small_disk.free()
        await clock.advance(10)
        await pressure(cluster, "False")

        async def has_both() -> bool:
            return len((await cluster.list(EVENT)).items) >= 2

        await eventually(has_both, "both Events")
        events = (await cluster.list(EVENT)).items
        assert {(event["type"], event["reason"]) for event in events} == {
            ("Warning", "NodeHasDiskPressure"),
            ("Normal", "NodeHasNoDiskPressure"),
        }
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
