# SPDX-License-Identifier: Apache-2.0
"""Prepared Pods: their containers are created, and start at once when the Pod is woken; with containers in memory."""

from pathlib import Path
from typing import Any

from harness.apiserver import opened
from harness.node import agent, is_ready, no_requests, pod
from tests.node.virtual import Node, virtual
from tidegate.kit.clock import VirtualClock
from tidegate.model import names, pods
from tidegate.model.conditions import condition
from tidegate.model.kinds import CONFIG_MAP, POD
from tidegate.model.objects import Key, Object, spec, status, uid
from tidegate.node.machine import NodeResources
from tidegate.node.runtime import LaunchRejected, PodUsage
from tidegate.node.runtimes.memory import MemoryRuntime

APP = Key("default", "app")
SMALL = NodeResources({}, {"cpu": "1", "memory": "1Gi", "pods": "10"})
ONE_CORE = {"requests": {"cpu": "1"}}


def prepared(name: str = "app", **container: Any) -> Object:
    obj = pod(name, "x", **container)
    obj["metadata"]["labels"][names.PREPARED] = "true"
    return obj


async def wake(node: Node, name: str = "app") -> None:
    """As the controllers do it: the node at once, the label later."""
    node.world.agent.wake(Key("default", name))
    await node.rest()
    await unlabel(node, name)


async def unlabel(node: Node, name: str = "app") -> None:
    await node.world.cluster.patch(POD, Key("default", name), {"metadata": {"labels": {names.PREPARED: None}}})
    await node.turn(0.1)


def state(obj: Object) -> Object:
    return condition(obj, names.PREPARED_STATE)


async def test_the_containers_of_a_prepared_pod_are_created_and_start_when_it_is_woken(tmp_path: Path) -> None:
    async with virtual(tmp_path) as node:
        await node.create(prepared())
        await node.turn(0.1)
        obj = await node.get()
        assert list(node.runtime.created) and not node.runtime.launched
        assert state(obj)["status"] == "True"
        assert spec(obj)["nodeName"] == "here"
        assert status(obj)["phase"] == "Pending"
        assert not is_ready(obj)
        assert pods.unschedulable(obj) is None
        assert await node.world.logs(obj) == ""

        node.world.agent.wake(APP)
        await node.rest()
        assert len(node.runtime.launched) == 1
        await unlabel(node)
        obj = await node.get()
        assert is_ready(obj)
        assert state(obj)["status"] == "False"
        assert len(node.runtime.launched) == 1


async def test_a_prepared_pod_whose_label_is_removed_starts_without_being_woken(tmp_path: Path) -> None:
    async with virtual(tmp_path) as node:
        await node.create(prepared())
        await unlabel(node)

        assert is_ready(await node.get())


async def test_a_prepared_pod_takes_no_room_and_waits_for_room_when_it_is_woken(tmp_path: Path) -> None:
    async with virtual(tmp_path, has=SMALL) as node:
        await node.create(prepared(resources=ONE_CORE))
        await node.create(pod("other", "x", resources=ONE_CORE))
        assert is_ready(await node.get("other"))

        await wake(node)
        obj = await node.get()
        assert (pods.unschedulable(obj) or ("",))[0] == "Unschedulable"
        assert "Insufficient cpu" in condition(obj, "PodScheduled")["message"]
        assert node.runtime.created

        await node.delete("other")
        await node.turn(0.1)
        obj = await node.get()
        assert is_ready(obj)
        assert pods.unschedulable(obj) is None


async def test_a_prepared_pod_says_why_its_containers_cannot_be_created(tmp_path: Path) -> None:
    async with virtual(tmp_path) as node:
        node.runtime.reject = lambda launch: LaunchRejected("CreateContainerError", "no such user")
        await node.create(prepared())
        await node.turn(0.1)
        obj = await node.get()
        assert state(obj)["status"] == "False"
        assert state(obj)["message"] == "user-container: CreateContainerError: no such user"

        node.runtime.reject = lambda launch: None
        await node.turn(1)
        assert state(await node.get())["status"] == "True"


async def test_a_prepared_pod_with_init_containers_only_gets_its_images(tmp_path: Path) -> None:
    async with virtual(tmp_path) as node:
        obj = prepared()
        obj["spec"]["initContainers"] = [{"name": "first", "image": "busybox"}]
        await node.create(obj)
        await node.turn(0.1)
        assert not node.runtime.created and not node.runtime.launched
        assert state(await node.get())["status"] == "True"

        await wake(node)
        node.running.end(0)
        await node.turn(0.1)
        assert is_ready(await node.get())


async def test_a_prepared_container_that_has_died_is_created_again_at_its_start(tmp_path: Path) -> None:
    async with virtual(tmp_path) as node:
        await node.create(prepared())
        await node.turn(0.1)
        node.runtime.created.clear()

        await wake(node)

        assert is_ready(await node.get())
        assert len(node.runtime.launched) == 1
        assert status(await node.get())["containerStatuses"][0]["restartCount"] == 0


async def test_a_prepared_container_is_created_again_if_its_variables_have_changed(tmp_path: Path) -> None:
    settings = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "namespace": "default"}}
    async with virtual(tmp_path) as node:
        await node.world.cluster.create(CONFIG_MAP, {**settings, "data": {"COLOR": "blue"}})
        for name in ("app", "other"):
            await node.create(prepared(name, envFrom=[{"configMapRef": {"name": "settings"}}]))
        await node.turn(0.1)
        await wake(node)
        assert [variables["COLOR"] for variables in node.runtime.environments] == ["blue", "blue"]

        patch = {"data": {"COLOR": "red"}}
        await node.world.cluster.patch(CONFIG_MAP, Key("default", "settings"), patch)
        await wake(node, "other")
        assert [variables["COLOR"] for variables in node.runtime.environments] == ["blue", "blue", "red"]
        assert is_ready(await node.get("other"))
        assert not node.runtime.created


async def test_a_deleted_prepared_pod_leaves_no_created_container(tmp_path: Path) -> None:
    async with virtual(tmp_path) as node:
        await node.create(prepared())
        await node.delete()

        assert not node.runtime.created
        assert not node.runtime.launched


async def test_the_next_agent_keeps_created_containers_and_wakes_them(tmp_path: Path) -> None:
    clock = VirtualClock()
    runtime = MemoryRuntime(clock)
    async with opened(tmp_path, clock) as api:
        async with agent(tmp_path, api, runtime, clock, no_requests, runtime.attempt) as world:
            world.leaves_instances = True
            for name in ("app", "woken"):
                await Node(world, runtime, clock).create(prepared(name))
            await clock.advance(0.1)
            world.agent.wake(Key("default", "woken"))  # and its label is never removed
            await Node(world, runtime, clock).rest()
        created = list(runtime.created.values())
        assert len(created) == 1
        async with agent(tmp_path, api, runtime, clock, no_requests, runtime.attempt) as world:
            node = Node(world, runtime, clock)
            await node.turn(0.1)
            assert list(runtime.created.values()) == created
            assert state(await node.get())["status"] == "True"
            assert state(await node.get("woken"))["status"] == "False"
            assert len(runtime.launched) == 1
            await wake(node)
            assert is_ready(await node.get())
            assert len(runtime.launched) == 2


async def test_a_woken_pod_that_waits_for_room_waits_under_the_next_agent_too(tmp_path: Path) -> None:
    clock = VirtualClock()
    runtime = MemoryRuntime(clock)
    async with opened(tmp_path, clock) as api:
        async with agent(tmp_path, api, runtime, clock, no_requests, runtime.attempt, has=SMALL) as world:
            world.leaves_instances = True
            node = Node(world, runtime, clock)
            await node.create(pod("other", "x", resources=ONE_CORE))
            await node.create(prepared(resources=ONE_CORE))
            await wake(node)
        async with agent(tmp_path, api, runtime, clock, no_requests, runtime.attempt, has=SMALL) as world:
            node = Node(world, runtime, clock)
            await node.turn(0.1)
            assert pods.unschedulable(await node.get()) is not None
            assert is_ready(await node.get("other"))
            await node.delete("other")
            await node.turn(0.1)
            assert is_ready(await node.get())


async def test_the_memory_of_prepared_containers_is_in_the_metrics(tmp_path: Path) -> None:
    async with virtual(tmp_path) as node:
        await node.create(prepared())
        await node.create(pod("runs", "x"))
        node.runtime.used = {uid(await node.get()): PodUsage(0.0, 1000), uid(await node.get("runs")): PodUsage(0.0, 50)}
        text = (await node.world.node.metrics()).decode()

        assert "tidegate_prepared_pods 1.0" in text
        assert "tidegate_prepared_memory_bytes 1000.0" in text
