# SPDX-License-Identifier: Apache-2.0
"""The `Cluster` protocol, the same cases for each implementation: in process, over HTTPS to a served API, in memory."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from harness.apiserver import cluster_of, served
from tidegate.client.cluster import Cluster
from tidegate.client.http import HttpCluster
from tidegate.client.informer import Informer
from tidegate.client.memory import MemoryCluster
from tidegate.model import errors, kinds
from tidegate.model.objects import Key, Object

NAME = Key("default", "a")


@pytest.fixture(params=["in process", "over HTTPS", "in memory"])
async def cluster(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Cluster]:
    if request.param == "in memory":
        memory = MemoryCluster()
        await memory.create(kinds.NAMESPACE, {"metadata": {"name": "default"}})
        yield memory
        return
    async with served(tmp_path) as server:
        if request.param == "in process":
            yield cluster_of(server.api, "tester")
        else:
            async with HttpCluster.from_kubeconfig(server.kubeconfig) as remote:
                yield remote


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


async def test_a_created_object_can_be_read_and_is_listed_with_its_type(cluster: Cluster) -> None:
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


async def test_cluster_scoped_kinds_are_found_by_name_alone(cluster: Cluster) -> None:
    assert (await cluster.get(kinds.NAMESPACE, Key("", "default")))["metadata"]["name"] == "default"


async def test_a_missing_object_is_not_found(cluster: Cluster) -> None:
    with pytest.raises(errors.NotFound, match='configmaps "a" not found'):
        await cluster.get(kinds.CONFIG_MAP, NAME)


async def test_an_existing_name_is_refused(cluster: Cluster) -> None:
    await cluster.create(kinds.CONFIG_MAP, config_map("a"))

    with pytest.raises(errors.AlreadyExists):
        await cluster.create(kinds.CONFIG_MAP, config_map("a"))


async def test_an_update_of_an_old_version_conflicts(cluster: Cluster) -> None:
    first = await cluster.create(kinds.CONFIG_MAP, config_map("a"))
    await cluster.update(kinds.CONFIG_MAP, {**first, "data": {"changed": "yes"}})

    with pytest.raises(errors.Conflict):
        await cluster.update(kinds.CONFIG_MAP, {**first, "data": {"changed": "no"}})


async def test_the_status_is_written_separately_from_the_spec(cluster: Cluster) -> None:
    created = await cluster.create(kinds.SERVICE, service("a"))

    written = await cluster.update_status(kinds.SERVICE, {**created, "spec": {}, "status": {"url": "http://a"}})
    patched = await cluster.patch(kinds.SERVICE, NAME, {"status": {"observedGeneration": 1}}, subresource="status")

    assert written["spec"] == created["spec"]
    assert patched["status"] == {"url": "http://a", "observedGeneration": 1}
    assert patched["metadata"]["generation"] == created["metadata"]["generation"]


async def test_patches_of_all_three_types_change_their_fields(cluster: Cluster) -> None:
    await cluster.create(kinds.CONFIG_MAP, config_map("a", {"one": "1"}))

    await cluster.patch(kinds.CONFIG_MAP, NAME, {"data": {"two": "2"}})
    operations = [{"op": "remove", "path": "/data/one"}]
    await cluster.patch(kinds.CONFIG_MAP, NAME, operations, patch_type="application/json-patch+json")
    merge: Object = {"data": {"three": "3"}}
    last = await cluster.patch(kinds.CONFIG_MAP, NAME, merge, patch_type="application/strategic-merge-patch+json")

    assert last["data"] == {"two": "2", "three": "3"}


async def test_a_deletion_requires_its_preconditions(cluster: Cluster) -> None:
    created = await cluster.create(kinds.CONFIG_MAP, config_map("a"))

    with pytest.raises(errors.Conflict):
        await cluster.delete(kinds.CONFIG_MAP, NAME, uid="another")
    with pytest.raises(errors.Conflict):
        await cluster.delete(kinds.CONFIG_MAP, NAME, resource_version="1")
    await cluster.delete(kinds.CONFIG_MAP, NAME, uid=created["metadata"]["uid"])

    with pytest.raises(errors.NotFound):
        await cluster.get(kinds.CONFIG_MAP, NAME)


async def test_a_watch_continues_a_list_with_the_changes_in_order(cluster: Cluster) -> None:
    created = await cluster.create(kinds.CONFIG_MAP, config_map("a"))
    listing = await cluster.list(kinds.CONFIG_MAP, "default")
    changed = await cluster.update(kinds.CONFIG_MAP, {**created, "data": {"changed": "yes"}})
    await cluster.create(kinds.CONFIG_MAP, config_map("b"))
    await cluster.delete(kinds.CONFIG_MAP, NAME)

    seen = []
    watch = cluster.watch(kinds.CONFIG_MAP, "default", resource_version=listing.resource_version)
    async with watch as events:
        async for event in events:
            seen.append((event.type, event.object["metadata"]["name"]))
            if event.type == "MODIFIED":
                assert event.object == changed
            if event.type == "DELETED":
                break

    assert seen == [("MODIFIED", "a"), ("ADDED", "b"), ("DELETED", "a")]


async def test_a_watch_waits_for_later_changes(cluster: Cluster) -> None:
    listing = await cluster.list(kinds.CONFIG_MAP, "default")

    watch = cluster.watch(kinds.CONFIG_MAP, "default", resource_version=listing.resource_version, labels="wanted")
    async with watch as events, asyncio.TaskGroup() as group:
        group.create_task(cluster.create(kinds.CONFIG_MAP, config_map("a")))
        group.create_task(cluster.create(kinds.CONFIG_MAP, config_map("b", labels={"wanted": ""})))
        first = await anext(events)

    assert (first.type, first.object["metadata"]["name"]) == ("ADDED", "b")


async def test_a_watch_by_label_reports_objects_that_enter_or_leave_the_selection(cluster: Cluster) -> None:
    await cluster.create(kinds.CONFIG_MAP, config_map("a"))
    listing = await cluster.list(kinds.CONFIG_MAP, "default")
    for labels in ({"wanted": "yes"}, {"wanted": "yes", "other": "1"}, {"wanted": None}):
        await cluster.patch(kinds.CONFIG_MAP, NAME, {"metadata": {"labels": labels}})

    watch = cluster.watch(kinds.CONFIG_MAP, resource_version=listing.resource_version, labels="wanted=yes")
    async with watch as events:
        types = [(await anext(events)).type for _ in range(3)]

    assert types == ["ADDED", "MODIFIED", "DELETED"]


async def test_a_generate_name_becomes_a_name(cluster: Cluster) -> None:
    created = await cluster.create(
        kinds.CONFIG_MAP, {"metadata": {"generateName": "a-", "namespace": "default"}, "data": {}}
    )

    assert created["metadata"]["name"].startswith("a-")
    assert len(created["metadata"]["name"]) == len("a-") + 5
    assert created["metadata"]["uid"]


async def test_the_generation_counts_changes_of_the_spec_alone(cluster: Cluster) -> None:
    created = await cluster.create(kinds.SERVICE, service("a"))
    labelled = await cluster.patch(kinds.SERVICE, NAME, {"metadata": {"labels": {"a": "b"}}})
    changed = await cluster.patch(kinds.SERVICE, NAME, {"spec": {"template": {"metadata": {"labels": {"a": "b"}}}}})

    generations = [obj["metadata"]["generation"] for obj in (created, labelled, changed)]
    assert generations == [1, 1, 2]


async def test_a_write_without_a_change_keeps_the_resource_version(cluster: Cluster) -> None:
    created = await cluster.create(kinds.CONFIG_MAP, config_map("a", {"key": "value"}))

    assert await cluster.patch(kinds.CONFIG_MAP, NAME, {"data": {"key": "value"}}) == created
    assert await cluster.update(kinds.CONFIG_MAP, created) == created


async def test_a_finalizer_holds_a_deleted_object_until_it_is_removed(cluster: Cluster) -> None:
    await cluster.create(kinds.CONFIG_MAP, config_map("a", finalizers=["tests.example/held"]))

    await cluster.delete(kinds.CONFIG_MAP, NAME)
    assert "deletionTimestamp" in (await cluster.get(kinds.CONFIG_MAP, NAME))["metadata"]
    await cluster.patch(kinds.CONFIG_MAP, NAME, {"metadata": {"finalizers": None}})

    with pytest.raises(errors.NotFound):
        await cluster.get(kinds.CONFIG_MAP, NAME)


async def test_a_bound_pod_gets_its_grace_period(cluster: Cluster) -> None:
    pod: Object = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "a", "namespace": "default"},
        "spec": {"nodeName": "here", "containers": [{"name": "app", "image": "x"}]},
    }
    await cluster.create(kinds.POD, pod)

    await cluster.delete(kinds.POD, NAME, grace_seconds=7)
    held = await cluster.get(kinds.POD, NAME)
    await cluster.delete(kinds.POD, NAME, grace_seconds=0)

    assert (held["status"]["phase"], held["metadata"]["deletionGracePeriodSeconds"]) == ("Pending", 7)
    with pytest.raises(errors.NotFound):
        await cluster.get(kinds.POD, NAME)


@pytest.mark.parametrize(
    ("obj", "error"),
    [
        (config_map("a", resourceVersion="1"), errors.BadRequest),
        (config_map("A"), errors.Invalid),
        (config_map("a", labels={"a": 1}), errors.BadRequest),
        (config_map("a", labels={"a b": ""}), errors.Invalid),
    ],
)
async def test_wrong_metadata_is_refused(cluster: Cluster, obj: Object, error: type[errors.ApiError]) -> None:
    with pytest.raises(error):
        await cluster.create(kinds.CONFIG_MAP, obj)


async def test_an_informer_follows_the_cluster(cluster: Cluster) -> None:
    informer = Informer(cluster, kinds.CONFIG_MAP)
    running = asyncio.create_task(informer.run())
    await informer.synced()
    changed = asyncio.Event()
    informer.subscribe(lambda old, new: changed.set())

    await cluster.create(kinds.CONFIG_MAP, config_map("a"))
    await asyncio.wait_for(changed.wait(), 10)

    assert informer.get(NAME) is not None
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
