# SPDX-License-Identifier: Apache-2.0
"""What the `Cluster` protocol promises, of every transport: in process, and over HTTPS to a served API."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.apiserver.world import Served, cluster_of, served
from tidegate.client.cluster import Cluster
from tidegate.client.http import HttpCluster
from tidegate.client.informer import Informer
from tidegate.model import errors, kinds
from tidegate.model.objects import Key, Object

NAME = Key("default", "a")


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Served]:
    async with served(tmp_path) as running:
        yield running


@pytest.fixture(params=["in process", "over HTTPS"])
async def cluster(server: Served, request: pytest.FixtureRequest) -> AsyncIterator[Cluster]:
    async with AsyncExitStack() as stack:
        if request.param == "in process":
            yield cluster_of(server.api, "tester")
        else:
            yield await stack.enter_async_context(HttpCluster.from_kubeconfig(server.kubeconfig))


def config_map(name: str, data: dict[str, str] | None = None, **metadata: object) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "default", **metadata},
        "data": data or {},
    }


def service(name: str) -> Object:
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"template": {"spec": {"containers": [{"image": "x"}]}}},
    }


async def test_what_is_created_can_be_read_and_is_listed_with_its_type(cluster: Cluster) -> None:
    created = await cluster.create(kinds.CONFIG_MAP, config_map("a", {"key": "value"}))

    assert await cluster.get(kinds.CONFIG_MAP, NAME) == created
    listing = await cluster.list(kinds.CONFIG_MAP, "default")
    assert listing.items == [created]
    assert (listing.items[0]["apiVersion"], listing.items[0]["kind"]) == ("v1", "ConfigMap")
    assert int(listing.resource_version) >= int(created["metadata"]["resourceVersion"])


async def test_lists_obey_namespace_labels_and_fields(cluster: Cluster) -> None:
    await cluster.create(kinds.CONFIG_MAP, config_map("a", labels={"color": "red"}))
    await cluster.create(kinds.CONFIG_MAP, config_map("b", labels={"color": "blue"}))

    async def names(namespace: str = "", **selectors: str) -> list[str]:
        listing = await cluster.list(kinds.CONFIG_MAP, namespace, **selectors)
        return [item["metadata"]["name"] for item in listing.items]

    assert await names("default") == ["a", "b"]
    assert await names("kube-system") == []
    assert await names(labels="color in (red)") == ["a"]
    assert await names("default", fields="metadata.name=b") == ["b"]


async def test_kinds_without_namespace_are_reached_by_name_alone(cluster: Cluster) -> None:
    assert (await cluster.get(kinds.NAMESPACE, Key("", "default")))["metadata"]["name"] == "default"


async def test_what_is_not_there_is_not_found(cluster: Cluster) -> None:
    with pytest.raises(errors.NotFound, match='configmaps "a" not found'):
        await cluster.get(kinds.CONFIG_MAP, NAME)


async def test_a_name_that_is_taken_already_exists(cluster: Cluster) -> None:
    await cluster.create(kinds.CONFIG_MAP, config_map("a"))

    with pytest.raises(errors.AlreadyExists):
        await cluster.create(kinds.CONFIG_MAP, config_map("a"))


async def test_an_update_of_what_changed_meanwhile_conflicts(cluster: Cluster) -> None:
    first = await cluster.create(kinds.CONFIG_MAP, config_map("a"))
    await cluster.update(kinds.CONFIG_MAP, {**first, "data": {"changed": "yes"}})

    with pytest.raises(errors.Conflict):
        await cluster.update(kinds.CONFIG_MAP, {**first, "data": {"changed": "no"}})


async def test_the_status_is_written_on_its_own(cluster: Cluster) -> None:
    created = await cluster.create(kinds.SERVICE, service("a"))

    written = await cluster.update_status(kinds.SERVICE, {**created, "spec": {}, "status": {"url": "http://a"}})
    patched = await cluster.patch(kinds.SERVICE, NAME, {"status": {"observedGeneration": 1}}, subresource="status")

    assert written["spec"] == created["spec"]
    assert patched["status"] == {"url": "http://a", "observedGeneration": 1}
    assert patched["metadata"]["generation"] == created["metadata"]["generation"]


async def test_patches_of_all_three_types_change_what_they_name(cluster: Cluster) -> None:
    await cluster.create(kinds.CONFIG_MAP, config_map("a", {"one": "1"}))

    await cluster.patch(kinds.CONFIG_MAP, NAME, {"data": {"two": "2"}})
    operations = [{"op": "remove", "path": "/data/one"}]
    await cluster.patch(kinds.CONFIG_MAP, NAME, operations, patch_type="application/json-patch+json")
    merge: Object = {"data": {"three": "3"}}
    last = await cluster.patch(kinds.CONFIG_MAP, NAME, merge, patch_type="application/strategic-merge-patch+json")

    assert last["data"] == {"two": "2", "three": "3"}


async def test_deletion_asks_for_its_preconditions(cluster: Cluster) -> None:
    created = await cluster.create(kinds.CONFIG_MAP, config_map("a"))

    with pytest.raises(errors.Conflict):
        await cluster.delete(kinds.CONFIG_MAP, NAME, uid="another")
    with pytest.raises(errors.Conflict):
        await cluster.delete(kinds.CONFIG_MAP, NAME, resource_version="1")
    await cluster.delete(kinds.CONFIG_MAP, NAME, uid=created["metadata"]["uid"])

    with pytest.raises(errors.NotFound):
        await cluster.get(kinds.CONFIG_MAP, NAME)


async def test_a_watch_tells_changes_in_order_from_where_the_list_was(cluster: Cluster) -> None:
    created = await cluster.create(kinds.CONFIG_MAP, config_map("a"))
    listing = await cluster.list(kinds.CONFIG_MAP, "default")
    changed = await cluster.update(kinds.CONFIG_MAP, {**created, "data": {"changed": "yes"}})
    await cluster.create(kinds.CONFIG_MAP, config_map("b"))
    await cluster.delete(kinds.CONFIG_MAP, NAME)

    told = []
    watch = cluster.watch(kinds.CONFIG_MAP, "default", resource_version=listing.resource_version)
    async with watch as events:
        async for event in events:
            told.append((event.type, event.object["metadata"]["name"]))
            if event.type == "MODIFIED":
                assert event.object == changed
            if event.type == "DELETED":
                break

    assert told == [("MODIFIED", "a"), ("ADDED", "b"), ("DELETED", "a")]


async def test_a_watch_waits_for_what_comes_later(cluster: Cluster) -> None:
    listing = await cluster.list(kinds.CONFIG_MAP, "default")

    watch = cluster.watch(kinds.CONFIG_MAP, "default", resource_version=listing.resource_version, labels="wanted")
    async with watch as events, asyncio.TaskGroup() as group:
        group.create_task(cluster.create(kinds.CONFIG_MAP, config_map("a")))
        group.create_task(cluster.create(kinds.CONFIG_MAP, config_map("b", labels={"wanted": ""})))
        first = await anext(events)

    assert (first.type, first.object["metadata"]["name"]) == ("ADDED", "b")


async def test_an_informer_follows_over_either_transport(cluster: Cluster) -> None:
    informer = Informer(cluster, kinds.CONFIG_MAP)
    running = asyncio.create_task(informer.run())
    await informer.synced()
    seen = asyncio.Event()
    informer.subscribe(lambda old, new: seen.set())

    await cluster.create(kinds.CONFIG_MAP, config_map("a"))
    await asyncio.wait_for(seen.wait(), 10)

    assert informer.get(NAME) is not None
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
