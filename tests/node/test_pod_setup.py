# SPDX-License-Identifier: Apache-2.0
"""What the containers of a Pod share: an address of its own, and volumes; with containers in memory."""

import asyncio
from collections.abc import Collection, Mapping
from pathlib import Path

from harness.node import is_ready, pod, waiting
from tests.node.virtual import virtual
from tidegate.model import names
from tidegate.model.kinds import EVENT
from tidegate.model.objects import Object, annotations, status, uid
from tidegate.model.pods import endpoint
from tidegate.node.runtime import LaunchRejected


class Folders:
    """One volume for each Pod; `problem` keeps it from being made."""

    def __init__(self) -> None:
        self.problem = ""
        self.made: list[str] = []

    async def set_up(self, pod: Object) -> Mapping[str, Path]:
        if self.problem:
            raise LaunchRejected("CreateContainerConfigError", self.problem)
        self.made.append(uid(pod))
        return {"data": Path("/volumes") / uid(pod)}

    async def remove(self, pod_uid: str) -> None:
        self.made.remove(pod_uid)

    async def changed(self, pod_uid: str) -> None:
        await asyncio.Event().wait()

    async def remove_others(self, pod_uids: Collection[str]) -> None:
        pass

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def close(self) -> None:
        pass


async def test_instances_with_addresses_of_their_own_listen_on_the_port_of_their_spec(tmp_path: Path) -> None:
    async with virtual(tmp_path) as node:
        node.runtime.addresses = {}
        for name in ("one", "two"):
            await node.create(pod(name, "x"))

        found = [await node.get(name) for name in ("one", "two")]
        assert all(map(is_ready, found))
        assert [endpoint(obj) for obj in found] == ["10.0.0.1:8080", "10.0.0.2:8080"]
        assert [annotations(obj)[names.PORT] for obj in found] == ["8080", "8080"]
        assert status(found[1])["podIPs"] == [{"ip": "10.0.0.2"}]
        assert [launch.port for launch in node.runtime.launched] == [8080, 8080]


async def test_no_container_starts_before_its_network_and_its_volumes_are_there(tmp_path: Path) -> None:
    folders = Folders()
    async with virtual(tmp_path, volumes=folders) as node:
        node.runtime.reject_pod = lambda pod: LaunchRejected("", "no address is left")
        folders.problem = 'configmap "settings" not found'
        await node.create(pod("app", "x"))
        await node.turn(0.1)
        assert waiting(await node.get())["reason"] == "ContainerCreating"
        assert not node.runtime.launched

        node.runtime.reject_pod = lambda pod: None
        await node.turn(1)
        assert not node.runtime.launched

        folders.problem = ""
        await node.turn(2)
        (launch,) = node.runtime.launched
        assert launch.volumes == {"data": Path("/volumes") / launch.pod_uid}
        await node.turn(1)
        events = (await node.world.cluster.list(EVENT, "default")).items
        assert {event["reason"]: event["message"] for event in events if event["type"] == "Warning"} == {
            "FailedCreatePodSandBox": "Failed to create pod sandbox: no address is left",
            "FailedMount": 'configmap "settings" not found',
        }


async def test_the_volumes_of_a_deleted_pod_are_removed_after_its_containers(tmp_path: Path) -> None:
    folders = Folders()
    async with virtual(tmp_path, volumes=folders) as node:
        await node.create(pod("app", "x"))
        assert folders.made
        await node.delete("app")

        assert not node.runtime.containers
        assert not folders.made
