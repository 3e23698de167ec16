# SPDX-License-Identifier: Apache-2.0
"""The API as components of the same process use it: the Cluster protocol."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from harness.apiserver import cluster_of, opened
from tests.apiserver import make
from tidegate.client.cluster import Cluster
from tidegate.client.informer import Informer
from tidegate.model import errors
from tidegate.model.kinds import CONFIG_MAP, POD, SERVICE
from tidegate.model.objects import Key, Object, labels

HELLO = Key("default", "hello")


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with opened(tmp_path, history=100) as api:
        yield cluster_of(api, "controller")


async def test_an_object_is_created_read_listed_updated_patched_and_deleted(cluster: Cluster) -> None:
    created = await cluster.create(SERVICE, make.service(labels={"a": "b"}))
    assert await cluster.get(SERVICE, HELLO) is created
    listing = await cluster.list(SERVICE, "default", labels="a=b", fields="metadata.name=hello")
    assert (listing.items, listing.resource_version) == ([created], created["metadata"]["resourceVersion"])

    updated = await cluster.update(SERVICE, {**created, "spec": {"x": 1}})
    assert updated["metadata"]["generation"] == 2
    with_status = await cluster.update_status(SERVICE, {**updated, "status": {"n": 1}})
    with pytest.raises(errors.Conflict):
        await cluster.update_status(SERVICE, {**updated, "status": {"n": 2}})
    patched = await cluster.patch(SERVICE, HELLO, {"status": {"n": 3}}, subresource="status")
    assert (patched["status"], patched["spec"]) == ({"n": 3}, with_status["spec"])
    patched = await cluster.patch(
        SERVICE, HELLO, [{"op": "remove", "path": "/metadata/labels"}], patch_type="application/json-patch+json"
    )
    assert labels(patched) == {}

    await cluster.delete(SERVICE, HELLO, uid=created["metadata"]["uid"])
    with pytest.raises(errors.NotFound):
        await cluster.get(SERVICE, HELLO)


async def test_a_watch_delivers_the_changes_after_its_revision(cluster: Cluster) -> None:
    listing = await cluster.list(POD)
    async with cluster.watch(POD, resource_version=listing.resource_version, labels="a") as events:
        await cluster.create(POD, make.pod("other"))
        created = await cluster.create(POD, make.pod(labels={"a": ""}))
        event = await anext(events)
        assert (event.type, event.object) == ("ADDED", created)
        await cluster.delete(POD, Key("default", "a"))
        assert (await anext(events)).type == "DELETED"


async def test_a_watch_of_forgotten_history_is_expired(cluster: Cluster) -> None:
    for n in range(110):
        await cluster.update_status(POD, {**make.pod(), "status": {"n": n}}) if n else await cluster.create(
            POD, make.pod()
        )
    with pytest.raises(errors.Expired):
        async with cluster.watch(POD, resource_version="1"):
            pass


async def test_an_informer_follows_many_changes(cluster: Cluster) -> None:
    informer = Informer(cluster, CONFIG_MAP)
    running = asyncio.create_task(informer.run())
    await informer.synced()
    await asyncio.gather(*(cluster.create(CONFIG_MAP, make.config_map(f"m{n}")) for n in range(300)))
    await asyncio.gather(*(cluster.delete(CONFIG_MAP, Key("default", f"m{n}")) for n in range(0, 300, 2)))

    await make.eventually(lambda: len(informer.list()) == 150)
    last = await cluster.update(CONFIG_MAP, make.config_map("m1", data={"x": "y"}))
    await make.eventually(lambda: informer.get(Key("default", "m1")) is last)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_writes_never_change_an_object_that_readers_hold(cluster: Cluster) -> None:
    mine: Object = make.service()
    stored = await cluster.create(SERVICE, mine)
    snapshot = {**stored, "metadata": dict(stored["metadata"])}
    await cluster.patch(SERVICE, HELLO, {"metadata": {"labels": {"a": "b"}}})
    await cluster.update_status(
        SERVICE, {**stored, "status": {}, "metadata": {"name": "hello", "namespace": "default"}}
    )

    assert stored == snapshot
    assert mine == make.service()
