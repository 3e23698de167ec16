# SPDX-License-Identifier: Apache-2.0
"""Init containers: one after another before the others, restarted as their Pod's policy says; with containers in
memory."""

from pathlib import Path
from typing import Any

import pytest

from harness.apiserver import opened
from harness.node import agent, is_ready, no_requests, pod
from tests.node.virtual import Node, virtual
from tidegate.kit.clock import VirtualClock
from tidegate.model.conditions import condition
from tidegate.model.objects import Object, status
from tidegate.node.runtimes.memory import MemoryContainer, MemoryRuntime


def with_inits(*names: str, policy: str = "Always", **container: Any) -> Object:
    obj = pod("app", "x")
    inits = [{"name": name, "image": "busybox", **container} for name in names]
    return {**obj, "spec": {**obj["spec"], "restartPolicy": policy, "initContainers": inits}}


def running(node: Node) -> list[str]:
    return [name for _, name in node.runtime.containers]


def named(node: Node, name: str) -> MemoryContainer:
    return next(found for (_, of), found in node.runtime.containers.items() if of == name)


async def ended(node: Node, name: str, code: int = 0) -> None:
    named(node, name).end(code)
    await node.turn(0.1)


def inits(obj: Object) -> list[Any]:
    return list(status(obj)["initContainerStatuses"])


async def test_the_containers_start_once_every_init_container_has_succeeded(tmp_path: Path) -> None:
    async with virtual(tmp_path) as node:
        await node.create(with_inits("first", "second"))
        await node.turn(0.1)
        assert running(node) == ["first"]
        obj = await node.get()
        initialized = condition(obj, "Initialized")
        assert (initialized["status"], initialized["reason"]) == ("False", "ContainersNotInitialized")
        assert initialized["message"] == "containers with incomplete status: [first second]"
        assert status(obj)["phase"] == "Pending"
        assert status(obj)["containerStatuses"][0]["state"]["waiting"]["reason"] == "PodInitializing"

        await ended(node, "first")
        assert running(node) == ["second"]
        assert condition(await node.get(), "Initialized")["message"].endswith("[second]")

        await ended(node, "second")
        obj = await node.get()
        assert running(node) == ["user-container"]
        assert is_ready(obj)
        assert [entry["state"]["terminated"]["reason"] for entry in inits(obj)] == ["Completed"] * 2
        assert [entry["ready"] for entry in inits(obj)] == [True, True]


async def test_an_init_container_that_fails_is_restarted_with_the_waits_of_a_crash(tmp_path: Path) -> None:
    async with virtual(tmp_path) as node:
        await node.create(with_inits("first"))
        await ended(node, "first", 1)
        assert running(node) == ["first"]
        await ended(node, "first", 1)
        obj = await node.get()
        assert inits(obj)[0]["state"]["waiting"]["reason"] == "CrashLoopBackOff"
        assert inits(obj)[0]["restartCount"] == 2
        assert status(obj)["phase"] == "Pending"

        await node.turn(10)
        await ended(node, "first")
        assert is_ready(await node.get())


async def test_an_init_container_that_fails_ends_a_pod_that_never_restarts(tmp_path: Path) -> None:
    async with virtual(tmp_path) as node:
        await node.create(with_inits("first", "second", policy="Never"))
        await ended(node, "first", 3)

        obj = await node.get()
        assert running(node) == []
        assert status(obj)["phase"] == "Failed"
        assert inits(obj)[0]["state"]["terminated"]["exitCode"] == 3
        assert condition(obj, "Initialized")["reason"] == "PodFailed"


async def test_a_sidecar_among_the_init_containers_keeps_running_and_is_restarted(tmp_path: Path) -> None:
    async with virtual(tmp_path) as node:
        obj = with_inits("proxy", "migrates")
        obj["spec"]["initContainers"][0] |= {"restartPolicy": "Always", "startupProbe": {"exec": {"command": ["x"]}}}
        node.runtime.ready = False
        await node.create(obj)
        assert running(node) == ["proxy"]

        node.runtime.ready = True
        await node.turn(1)
        assert running(node) == ["proxy", "migrates"]
        await ended(node, "migrates")
        assert running(node) == ["proxy", "user-container"]
        assert is_ready(await node.get())

        await ended(node, "proxy", 1)
        assert running(node) == ["user-container", "proxy"]
        assert inits(await node.get())[0]["restartCount"] == 1


@pytest.mark.parametrize("at", ["first", "second", "user-container"])
async def test_the_next_agent_continues_where_the_init_containers_are(tmp_path: Path, at: str) -> None:
    clock = VirtualClock()
    runtime = MemoryRuntime(clock)
    order = ["first", "second", "user-container"]
    async with opened(tmp_path, clock) as api:
        async with agent(tmp_path, api, runtime, clock, no_requests, runtime.attempt) as world:
            world.leaves_instances = True
            node = Node(world, runtime, clock)
            await node.create(with_inits("first", "second"))
            for name in order[: order.index(at)]:
                await ended(node, name)
            await node.turn(0.1)
            assert running(node) == [at]
        assert running(node) == [at]
        async with agent(tmp_path, api, runtime, clock, no_requests, runtime.attempt) as world:
            node = Node(world, runtime, clock)
            await node.turn(0.1)
            for name in order[order.index(at) : -1]:
                await ended(node, name)
            obj = await node.get()
            assert [launch.name for launch in runtime.launched] == order
            assert is_ready(obj)
            assert [entry["state"]["terminated"]["exitCode"] for entry in inits(obj)] == [0, 0]
            assert [entry["restartCount"] for entry in (*inits(obj), *status(obj)["containerStatuses"])] == [0, 0, 0]


async def test_a_sidecar_ends_once_the_containers_of_its_pod_have_ended_for_good(tmp_path: Path) -> None:
    async with virtual(tmp_path) as node:
        obj = with_inits("proxy", policy="Never")
        obj["spec"]["initContainers"][0]["restartPolicy"] = "Always"
        await node.create(obj)
        await ended(node, "user-container")

        assert running(node) == []
        assert status(await node.get())["phase"] == "Succeeded"
