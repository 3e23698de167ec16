# SPDX-License-Identifier: Apache-2.0
"""A writer writes only what differs, and the informer learns the answer."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests import make
from tests.apiserver.world import cluster_of, opened
from tidegate.client.events import Recorder
from tidegate.client.informers import Informers
from tidegate.model.objects import Key, Object
from tidegate.reconcile.writer import ObjectWriter

HELLO = Key("default", "hello")


@asynccontextmanager
async def writing(folder: Path) -> AsyncIterator[tuple[ObjectWriter, Informers]]:
    async with opened(folder) as api:
        cluster = cluster_of(api, "controllers")
        yield ObjectWriter(cluster, Recorder(cluster, "controllers")), Informers(cluster)


async def test_a_status_is_written_if_it_or_the_generation_differs(tmp_path: Path) -> None:
    async with writing(tmp_path) as (writer, informers):
        route = await writer.create(informers.routes, make.new(make.route()))

        updated = await writer.update_status(informers.routes, route, {"url": "http://hello"})
        again = await writer.update_status(informers.routes, updated, {"url": "http://hello"})

        assert updated["status"] == {"url": "http://hello", "observedGeneration": 1}
        assert again is updated
        assert informers.routes.get(HELLO) is updated, "the informer has learned the answer"


async def test_a_child_is_aligned_only_if_it_differs_and_keeps_other_fields(tmp_path: Path) -> None:
    async with writing(tmp_path) as (writer, informers):
        existing = await writer.create(informers.routes, {**make.new(make.route()), "extra": "stays"})
        assert await writer.align(informers.routes, existing, make.route()) is existing

        aligned = await writer.align(informers.routes, existing, make.route(labels={"a": "b"}))

        assert (aligned["metadata"]["labels"], aligned["extra"]) == ({"a": "b"}, "stays")


async def test_deleting_an_already_deleted_or_replaced_object_does_nothing(tmp_path: Path) -> None:
    async with writing(tmp_path) as (writer, informers):
        old = await writer.create(informers.pods, _pod())
        await writer.delete(informers.pods, old)
        await writer.delete(informers.pods, old)

        young = await writer.create(informers.pods, {**_pod(), "metadata": {**_pod()["metadata"]}})
        await writer.delete(informers.pods, old)

        assert young["metadata"]["uid"] != old["metadata"]["uid"]


def _pod() -> Object:
    return make.new(make.pod(make.revision()))
