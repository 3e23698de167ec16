# SPDX-License-Identifier: Apache-2.0
"""A writer writes only what differs, and the informer learns the answer."""

from typing import NamedTuple

from harness import make
from tidegate.client.events import Recorder
from tidegate.client.informers import Informers
from tidegate.client.memory import MemoryCluster
from tidegate.model import kinds
from tidegate.model.objects import Key, Object, key
from tidegate.reconcile.writer import ObjectWriter

HELLO = Key("default", "hello")


class World(NamedTuple):
    cluster: MemoryCluster
    writer: ObjectWriter
    informers: Informers

    @property
    def verbs(self) -> list[str]:
        return [write.verb for write in self.cluster.writes]


def new_world() -> World:
    cluster = MemoryCluster()
    return World(cluster, ObjectWriter(cluster, Recorder(cluster, "controllers")), Informers(cluster))


def pod() -> Object:
    return make.new(make.pod(make.revision()))


async def test_a_status_is_written_if_it_or_the_generation_differs() -> None:
    world = new_world()
    routes = world.informers.routes
    route = await world.writer.create(routes, make.new(make.route()))

    updated = await world.writer.update_status(routes, route, {"url": "http://hello"})
    again = await world.writer.update_status(routes, updated, {"url": "http://hello"})

    assert updated["status"] == {"url": "http://hello", "observedGeneration": 1}
    assert again is updated
    assert world.verbs == ["create", "update"]
    assert routes.get(HELLO) is updated, "the informer has learned the answer"


async def test_a_child_is_aligned_only_if_it_differs_and_keeps_other_fields() -> None:
    world = new_world()
    routes = world.informers.routes
    existing = await world.writer.create(routes, {**make.new(make.route()), "extra": "stays"})
    assert await world.writer.align(routes, existing, make.route()) is existing

    aligned = await world.writer.align(routes, existing, make.route(labels={"a": "b"}))

    assert (aligned["metadata"]["labels"], aligned["extra"]) == ({"a": "b"}, "stays")
    assert world.verbs == ["create", "update"]


async def test_deleting_an_already_deleted_or_replaced_object_does_nothing() -> None:
    world = new_world()
    pods = world.informers.pods
    old = await world.writer.create(pods, pod())
    await world.writer.delete(pods, old)
    await world.writer.delete(pods, old)

    young = await world.writer.create(pods, pod())
    await world.writer.delete(pods, old)

    assert (await world.cluster.get(kinds.POD, key(young)))["metadata"]["uid"] == young["metadata"]["uid"]
    assert world.verbs == ["create", "delete", "create"]
