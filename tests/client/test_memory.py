# SPDX-License-Identifier: Apache-2.0
"""The methods of `MemoryCluster` for tests. `test_cluster.py` has the cases that it shares with the API server."""

import asyncio

import pytest

from tidegate.client.memory import MemoryCluster
from tidegate.kit.clock import VirtualClock
from tidegate.model import errors, kinds
from tidegate.model.kinds import Kind
from tidegate.model.objects import Key, Object

NAME = Key("default", "a")


def config_map(name: str = "a", **data: str) -> Object:
    return {"metadata": {"name": name, "namespace": "default"}, "data": data}


async def test_put_stores_an_object_with_its_status_and_replaces_it() -> None:
    cluster = MemoryCluster()

    first = cluster.put(kinds.SERVICE, {"metadata": {"name": "a", "namespace": "default"}, "status": {"url": "x"}})
    second = cluster.put(kinds.SERVICE, {**first, "status": {"url": "y"}})

    assert await cluster.get(kinds.SERVICE, NAME) is second
    assert cluster.stored(kinds.SERVICE) == {NAME: second}
    assert (first["apiVersion"], first["kind"]) == ("serving.knative.dev/v1", "Service")
    assert int(second["metadata"]["resourceVersion"]) > int(first["metadata"]["resourceVersion"])
    assert first["metadata"]["uid"] == second["metadata"]["uid"]


async def test_remove_ignores_finalizers_and_notifies_watches() -> None:
    cluster = MemoryCluster()
    held = config_map()
    held["metadata"]["finalizers"] = ["tests.example/held"]
    cluster.put(kinds.CONFIG_MAP, held)

    async with cluster.watch(kinds.CONFIG_MAP, resource_version="1") as events:
        cluster.remove(kinds.CONFIG_MAP, NAME)
        event = await anext(events)

    assert (event.type, event.object["metadata"]["name"]) == ("DELETED", "a")
    with pytest.raises(errors.NotFound):
        cluster.remove(kinds.CONFIG_MAP, NAME)


async def test_writes_are_recorded_in_order_without_failures() -> None:
    cluster = MemoryCluster()
    cluster.put(kinds.SERVICE, {"metadata": {"name": "a", "namespace": "default"}})

    await cluster.create(kinds.CONFIG_MAP, config_map())
    await cluster.patch(kinds.SERVICE, NAME, {"status": {"url": "x"}}, subresource="status")
    await cluster.delete(kinds.CONFIG_MAP, NAME)
    with pytest.raises(errors.NotFound):
        await cluster.delete(kinds.CONFIG_MAP, NAME)

    assert [(write.verb, write.kind, write.subresource) for write in cluster.writes] == [
        ("create", kinds.CONFIG_MAP, ""),
        ("patch", kinds.SERVICE, "status"),
        ("delete", kinds.CONFIG_MAP, ""),
    ]
    assert cluster.writes[1].object == {"status": {"url": "x"}}


async def test_a_watch_of_dropped_history_is_expired_at_its_start_and_later() -> None:
    cluster = MemoryCluster()
    cluster.put(kinds.CONFIG_MAP, config_map())
    async with cluster.watch(kinds.CONFIG_MAP, resource_version="0") as events:
        cluster.compact()

        with pytest.raises(errors.Expired):
            await anext(events)
    with pytest.raises(errors.Expired):
        async with cluster.watch(kinds.CONFIG_MAP, resource_version="0"):
            pass


async def test_watches_of_other_kinds_and_namespaces_stay_silent() -> None:
    cluster = MemoryCluster()
    async with cluster.watch(kinds.CONFIG_MAP, "default", resource_version="0") as events:
        first = asyncio.ensure_future(anext(events))
        cluster.put(kinds.SECRET, config_map())
        cluster.put(kinds.CONFIG_MAP, {"metadata": {"name": "a", "namespace": "other"}})
        wanted = cluster.put(kinds.CONFIG_MAP, config_map("b"))

        assert (await first).object == wanted


async def test_admit_changes_and_refuses_objects() -> None:
    def admit(kind: Kind, new: Object, old: Object | None, subresource: str) -> Object:
        if "refuse" in new.get("data", {}):
            raise errors.Invalid("refused by the test")
        return {**new, "data": {"default": "1", **new.get("data", {})}}

    cluster = MemoryCluster(admit=admit)

    assert (await cluster.create(kinds.CONFIG_MAP, config_map()))["data"] == {"default": "1"}
    with pytest.raises(errors.Invalid):
        await cluster.patch(kinds.CONFIG_MAP, NAME, {"data": {"refuse": ""}})


async def test_timestamps_come_from_the_clock() -> None:
    cluster = MemoryCluster(clock=VirtualClock())

    created = await cluster.create(kinds.CONFIG_MAP, config_map())

    assert created["metadata"]["creationTimestamp"] == "2026-01-01T00:00:00Z"
