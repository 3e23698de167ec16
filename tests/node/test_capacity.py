# SPDX-License-Identifier: Apache-2.0
"""Room for Pods: the arithmetic alone, and the agent that uses it."""

import socket
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.apiserver import cluster_of, opened
from harness.node import agent, node, pod
from tests.node.virtual import virtual
from tidegate.kit.clock import RealClock
from tidegate.model import pods
from tidegate.model.kinds import NODE, POD
from tidegate.model.objects import Key, Object, spec, status
from tidegate.node.capacity import Capacity, asked
from tidegate.node.machine import NodeResources, node_name
from tidegate.node.runtimes.memory import MemoryRuntime

ALLOCATABLE = {"cpu": "2", "memory": "1Gi", "pods": "10"}
SMALL_NODE = NodeResources(ALLOCATABLE, ALLOCATABLE)


def asking(name: str, *, limits: Any = None, **requests: str) -> Object:
    made = pod(name, resources={"requests": requests, "limits": limits or {}})
    return {**made, "metadata": {**made["metadata"], "uid": name, "creationTimestamp": "2026-01-01T00:00:00Z"}}


def named(name: str) -> Key:
    return Key("default", name)


def test_a_pod_fits_beside_the_others_to_the_last_unit() -> None:
    capacity = Capacity(ALLOCATABLE)

    assert capacity.try_reserve(asking("first", cpu="1500m", memory="512Mi")) == ""
    assert capacity.try_reserve(asking("second", cpu="500m", memory="0.5Gi")) == ""
    assert capacity.try_reserve(asking("third", cpu="1m")) == "0/1 nodes are available: 1 Insufficient cpu."


def test_missing_room_is_reported_in_the_kube_schedulers_words() -> None:
    capacity = Capacity({**ALLOCATABLE, "pods": "0"})

    lacking = capacity.try_reserve(asking("large", **{"cpu": "3", "memory": "2Gi", "nvidia.com/gpu": "1"}))

    assert lacking == (
        "0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory, 1 Insufficient nvidia.com/gpu, "
        "1 Too many pods."
    )


def test_a_limit_without_a_request_counts_as_the_request() -> None:
    capacity = Capacity(ALLOCATABLE)

    assert (
        capacity.try_reserve(asking("limited", limits={"cpu": "3"})) == "0/1 nodes are available: 1 Insufficient cpu."
    )
    assert capacity.try_reserve(asking("both", limits={"cpu": "3"}, cpu="1")) == ""


def test_a_pod_without_requests_fits_into_a_full_node() -> None:
    capacity = Capacity(ALLOCATABLE)
    capacity.reserve(asking("more than there is", cpu="64"))

    assert capacity.try_reserve(asking("modest")) == ""


def test_freed_room_is_given_to_the_oldest_pods_that_fit() -> None:
    capacity = Capacity(ALLOCATABLE)
    assert capacity.try_reserve(asking("runs", cpu="2")) == ""
    for name, cpu in (("large", "4"), ("first", "1"), ("second", "1500m"), ("third", "1")):
        assert capacity.try_reserve(asking(name, cpu=cpu)) != ""
    assert list(capacity.fitting()) == []

    capacity.release("runs")

    assert list(capacity.fitting()) == [named("first"), named("third")]
    capacity.forget(named("first"))
    assert list(capacity.fitting()) == [named("second")]


AMOUNTS = st.integers(0, 2500)


@given(st.lists(st.tuples(st.sampled_from(["come", "go"]), st.integers(0, 7), AMOUNTS), max_size=60))
def test_capacity_is_never_exceeded_and_every_fitting_pod_is_reported(turns: list[tuple[str, int, int]]) -> None:
    capacity = Capacity(ALLOCATABLE)
    runs: dict[str, int] = {}
    waits: dict[str, int] = {}
    for what, number, millis in turns:
        name = f"pod-{number}"
        if what == "come" and name not in runs:
            amount = waits.get(name, millis)
            (waits if capacity.try_reserve(asking(name, cpu=f"{amount}m")) else runs)[name] = amount
        elif what == "go" and name in runs:
            capacity.release(name)
            del runs[name]
        for freed in list(capacity.fitting()):
            amount = waits.pop(freed.name)
            assert capacity.try_reserve(asking(freed.name, cpu=f"{amount}m")) == ""
            runs[freed.name] = amount
        waits = {name: amount for name, amount in waits.items() if name not in runs}
        assert sum(runs.values()) <= 2000
        assert all(sum(runs.values()) + amount > 2000 for amount in waits.values())


async def test_a_pod_without_room_waits_as_unschedulable_and_others_run(tmp_path: Path) -> None:
    runtime = MemoryRuntime(RealClock())
    async with node(tmp_path, runtime=runtime, attempt=runtime.attempt, has=SMALL_NODE) as world:
        await world.create(asking("large", cpu="64"))
        await world.create(asking("small", cpu="1"))

        await world.ready("small")
        waits = await world.until("large", lambda obj: pods.unschedulable(obj) is not None)

        lacking = "0/1 nodes are available: 1 Insufficient cpu."
        assert pods.unschedulable(waits) == ("Unschedulable", lacking)
        assert status(waits)["phase"] == "Pending"
        assert "nodeName" not in spec(waits)
        await world.until_event("FailedScheduling", lacking)


async def test_a_waiting_pod_runs_once_another_has_ended(tmp_path: Path) -> None:
    runtime = MemoryRuntime(RealClock())
    async with node(tmp_path, runtime=runtime, attempt=runtime.attempt, has=SMALL_NODE) as world:
        await world.create(asking("first", cpu="1500m"))
        await world.ready("first")
        await world.create(asking("second", cpu="1"))
        await world.until("second", lambda obj: pods.unschedulable(obj) is not None)

        await world.cluster.delete(POD, named("first"))

        runs = await world.ready("second")
        assert pods.unschedulable(runs) is None


async def test_a_pod_that_waits_for_room_can_be_deleted(tmp_path: Path) -> None:
    runtime = MemoryRuntime(RealClock())
    async with node(tmp_path, runtime=runtime, attempt=runtime.attempt, has=SMALL_NODE) as world:
        await world.create(asking("large", cpu="64"))
        await world.until("large", lambda obj: pods.unschedulable(obj) is not None)

        await world.cluster.delete(POD, named("large"))

        await world.deleted("large")
        assert runtime.launched == []


async def test_an_agent_begins_with_the_pods_that_are_bound_already(tmp_path: Path) -> None:
    runtime = MemoryRuntime(RealClock())
    async with opened(tmp_path) as api:
        first = asking("first", cpu="1500m")
        await cluster_of(api, "test").create(POD, {**first, "spec": {**spec(first), "nodeName": "here"}})

        async with agent(tmp_path, api, runtime, attempt=runtime.attempt, has=SMALL_NODE) as world:
            await world.create(asking("second", cpu="1"))
            await world.until("second", lambda obj: pods.unschedulable(obj) is not None)
            await world.ready("first")


def test_the_node_keeps_its_name_though_its_host_is_renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "Laptop")
    assert node_name(tmp_path) == "laptop"

    monkeypatch.setattr(socket, "gethostname", lambda: "laptop.example.org")

    assert node_name(tmp_path) == "laptop"


@pytest.mark.parametrize(
    ("host", "name"),
    [("My_Laptop", "my-laptop"), ("-a.b-", "a.b"), ("(none)", "none"), ("", "localhost"), ("a..b", "localhost")],
)
def test_a_host_whose_name_no_node_may_have_gets_one_like_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str, name: str
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: host)
    assert node_name(tmp_path) == name


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"no name", b"x" * 300])
def test_a_damaged_name_of_the_node_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "laptop")
    (tmp_path / "node").write_bytes(content)

    assert node_name(tmp_path) == "laptop"
    assert (tmp_path / "node").read_text() == "laptop"


async def test_the_node_shows_its_resources(tmp_path: Path) -> None:
    async with node(tmp_path) as world:
        await world.until_node()
        (found,) = (await world.cluster.list(NODE)).items

        capacity, allocatable = (Capacity(status(found)[field]) for field in ("capacity", "allocatable"))
        everything = asking("everything", **{each: status(found)["capacity"][each] for each in ("cpu", "memory")})
        assert capacity.try_reserve(everything) == ""
        lacking = allocatable.try_reserve(everything)
        assert lacking == "0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory."


def test_a_pod_needs_what_its_init_containers_or_its_containers_need_at_the_same_time() -> None:
    def asks(cpu: str, **more: str) -> Object:
        return {"name": "c", "resources": {"requests": {"cpu": cpu}}, **more}

    def cpu(*inits: Object) -> Fraction:
        obj = pod("app", resources={"requests": {"cpu": "1"}})
        return asked({**obj, "spec": {**obj["spec"], "initContainers": list(inits)}})["cpu"]

    assert cpu(asks("500m"), asks("500m")) == 1
    assert cpu(asks("3")) == 3
    assert cpu(asks("500m", restartPolicy="Always")) == Fraction("1.5")
    assert cpu(asks("500m", restartPolicy="Always"), asks("2")) == Fraction("2.5")


async def test_a_pod_that_has_ended_for_good_frees_its_room(tmp_path: Path) -> None:
    async with virtual(tmp_path, has=SMALL_NODE) as node:
        once = pod("once", "x", resources={"requests": {"cpu": "2"}})
        await node.create({**once, "spec": {**once["spec"], "restartPolicy": "Never"}})
        await node.create(pod("next", "x", resources={"requests": {"cpu": "2"}}))
        assert pods.unschedulable(await node.get("next"))

        node.running.end(0)
        await node.turn(0.1)
        assert not pods.unschedulable(await node.get("next"))
        assert [launch.name for launch in node.runtime.launched] == ["user-container"] * 2
