# SPDX-License-Identifier: Apache-2.0
"""The labeler records on Configurations and Revisions which Routes refer to them."""

from datetime import UTC, datetime
from pathlib import Path

from harness import make
from tests.controllers.world import World, controlled
from tidegate.controllers.serving.labeler import desired_changes, references
from tidegate.model import kinds, names
from tidegate.model.objects import Key, Object, annotations, labels, listed

NOW = datetime(2026, 2, 3, tzinfo=UTC)


def test_a_route_refers_to_its_present_and_its_wanted_targets() -> None:
    owner = make.configuration("hello", metadata={"generation": 3})
    objects = {
        "hello": make.observed(owner, latestCreatedRevisionName="hello-00003"),
        "hello-00001": make.revision("hello-00001", owner=owner),
        "hello-00002": make.revision("hello-00002", owner=owner),
    }
    route = make.observed(
        make.route(traffic=[make.latest(90), make.pinned("hello-00001", 10)]),
        traffic=[{"revisionName": "hello-00002", "percent": 100, "latestRevision": True}],
    )

    wanted = references(route, lambda key: objects.get(key.name), lambda key: objects.get(key.name))

    assert wanted.revisions == {"hello-00001", "hello-00002", "hello-00003"}
    assert wanted.configurations == {"hello"}


def test_a_route_refers_to_a_revision_that_is_being_created() -> None:
    """Its Configuration's status does not name it yet; without a reference it would be scaled down."""
    newer = make.configuration("hello", metadata={"generation": 2})
    behind = make.observed(newer, latestCreatedRevisionName="hello-00001")

    wanted = references(make.route(), lambda key: behind, lambda key: None)

    assert wanted.revisions == {"hello-00001", "hello-00002"}


def test_routing_metadata_changes_only_if_it_differs() -> None:
    known = make.revision(annotations={names.ROUTES: "a,b"})

    assert desired_changes(known, "a", NOW, named=True, has_state=True) == ({}, {})
    assert desired_changes(known, "c", NOW, named=True, has_state=True) == ({}, {names.ROUTES: "a,b,c"})
    assert desired_changes(known, "a", NOW, named=False, has_state=True) == ({}, {names.ROUTES: "b"})


def test_a_revision_is_in_reserve_after_its_last_route_is_removed() -> None:
    known = make.revision(annotations={names.ROUTES: "a"})

    changes = desired_changes(known, "a", NOW, named=False, has_state=True)

    assert changes.labels == {names.ROUTING_STATE: "reserve"}
    assert changes.annotations == {names.ROUTES: None, names.ROUTING_STATE_MODIFIED: "2026-02-03T00:00:00Z"}


def test_a_configuration_has_no_routing_state() -> None:
    changes = desired_changes(make.configuration(), "a", NOW, named=True, has_state=False)

    assert changes == ({}, {names.ROUTES: "a"})


def state(world: World, revision: str) -> str:
    return labels(world.get(kinds.REVISION, revision)).get(names.ROUTING_STATE, "")


async def test_a_standalone_configuration_is_pending_until_a_route_refers_to_it(tmp_path: Path) -> None:
    async with controlled(tmp_path) as world:
        await world.apply(make.configuration())
        await world.until(lambda: world.is_ready(kinds.CONFIGURATION, "hello"))
        assert state(world, "hello-00001") == "pending"

        await world.apply(make.route("door"))

        await world.until(lambda: state(world, "hello-00001") == "active")
        await world.until(lambda: listed(world.get(kinds.CONFIGURATION, "hello"), names.ROUTES) == ("door",))
        await world.until(lambda: world.is_ready(kinds.ROUTE, "door"))

        await world.delete(kinds.ROUTE, "door")

        await world.until(lambda: state(world, "hello-00001") == "reserve")
        await world.until(lambda: names.ROUTES not in annotations(world.get(kinds.CONFIGURATION, "hello")))


async def test_a_new_revision_beside_a_pinned_one_is_in_reserve(tmp_path: Path) -> None:
    async with controlled(tmp_path) as world:
        await world.apply(make.service(traffic=[make.pinned("hello-00001")]))
        await world.until(lambda: world.is_ready(kinds.SERVICE, "hello"))

        await world.apply(make.service(template=make.template(labels={"v": "2"}), traffic=[make.pinned("hello-00001")]))

        await world.until(
            lambda: (world.find(kinds.REVISION, "hello-00002") and state(world, "hello-00002")) == "reserve"
        )
        assert state(world, "hello-00001") == "active"


async def test_a_revision_stays_active_while_the_route_of_its_service_is_created_again(tmp_path: Path) -> None:
    async with controlled(tmp_path) as world:
        await world.apply(make.service())
        await world.until(lambda: world.is_ready(kinds.SERVICE, "hello"))
        modified = annotations(world.get(kinds.REVISION, "hello-00001"))[names.ROUTING_STATE_MODIFIED]
        before = world.get(kinds.ROUTE, "hello")

        await world.delete(kinds.ROUTE, "hello")

        def back() -> Object | None:
            route = world.find(kinds.ROUTE, "hello")
            return route if route is not None and route["metadata"]["uid"] != before["metadata"]["uid"] else None

        await world.until(back)
        await world.until(lambda: world.is_ready(kinds.ROUTE, "hello"))
        assert state(world, "hello-00001") == "active"
        assert annotations(world.get(kinds.REVISION, "hello-00001"))[names.ROUTING_STATE_MODIFIED] == modified


async def test_several_routes_may_refer_to_one_revision(tmp_path: Path) -> None:
    async with controlled(tmp_path) as world:
        await world.apply(make.service())
        await world.until(lambda: world.is_ready(kinds.SERVICE, "hello"))
        await world.apply(make.route("second", traffic=[make.pinned("hello-00001")]))

        await world.until(lambda: listed(world.get(kinds.REVISION, "hello-00001"), names.ROUTES) == ("hello", "second"))

        await world.cluster.delete(kinds.ROUTE, Key(make.NAMESPACE, "second"))
        await world.until(lambda: listed(world.get(kinds.REVISION, "hello-00001"), names.ROUTES) == ("hello",))
        assert state(world, "hello-00001") == "active"


def test_a_route_refers_to_a_revision_that_gets_mirrored_requests() -> None:
    objects = {"hello-00001": make.revision("hello-00001"), "hello-00002": make.revision("hello-00002")}
    route = make.route(traffic=[make.pinned("hello-00001")], annotations={names.MIRROR: "hello-00002=10"})

    wanted = references(route, lambda key: None, lambda key: objects.get(key.name))

    assert wanted.revisions == {"hello-00001", "hello-00002"}
