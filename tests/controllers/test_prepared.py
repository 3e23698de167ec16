# SPDX-License-Identifier: Apache-2.0
"""Prepared Pods: which Revisions have them, and when one is woken instead of a new one created."""

from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from harness import make
from harness.waiting import eventually
from tests.controllers.world import World, controlled
from tidegate.controllers.serving.prepared import places, plan
from tidegate.model import kinds, names
from tidegate.model.objects import Key, Object, is_deleting, labels
from tidegate.model.pods import is_created, is_prepared, is_ready

IMAGE = "docker.io/library/hello@sha256:" + "1" * 64
REVISION = make.revision(spec=make.template(IMAGE)["spec"])
NAME = "hello-00001"
UNPULLABLE = make.waiting("ErrImagePull", "manifest unknown")


def pod(number: int, status: Object | None = None) -> Object:
    return make.prepared(make.pod(REVISION, f"{number:05d}", status=status or make.created()))


def test_created_pods_are_woken_first_then_those_in_preparation_and_the_rest_is_created() -> None:
    begun, created = pod(1, {"phase": "Pending"}), pod(2)

    assert plan(1, [begun, created], 2) == ([created], [], 0, 1)
    assert plan(5, [begun, created], 2) == ([created, begun], [], 3, 2)


def test_a_failed_pod_is_not_woken_and_keeps_its_place() -> None:
    failed = pod(1, UNPULLABLE)

    assert plan(1, [failed], 1) == ([], [], 1, 0)
    assert plan(0, [failed, pod(2)], 1).delete == [failed]


@given(st.integers(-1, 6), st.integers(0, 6), st.integers(0, 6))
def test_a_plan_fills_all_places_and_no_more(missing: int, existing: int, free: int) -> None:
    made = plan(missing, [pod(number) for number in range(existing)], free)

    assert len(made.wake) + made.create == max(0, missing)
    assert existing - len(made.wake) - len(made.delete) + made.prepare == free


SCALED = make.observed(make.pod_autoscaler(REVISION), ScaleTargetInitialized="True")


def asked(**options: Any) -> int:
    return places(make.revision(spec=REVISION["spec"], **options), SCALED)


def test_a_routed_revision_of_containers_has_places() -> None:
    assert asked() == 1
    assert asked(annotations={names.PREPARED: "3"}) == 3
    assert asked(annotations={names.PREPARED: "0"}) == 0
    assert asked(annotations={names.PREPARED: "some"}) == 0
    assert asked(labels={names.ROUTING_STATE: "reserve"}) == 0
    assert asked(annotations={names.RUNTIME: "process"}) == 0
    assert places(make.revision(annotations={names.PREPARED: "3"}), SCALED) == 0


def test_a_revision_that_never_ran_has_no_places() -> None:
    assert places(REVISION, make.pod_autoscaler(REVISION)) == 0


def living(world: World, revision: str = NAME) -> list[Object]:
    return [found for found in world.pods(revision) if not is_deleting(found)]


def prepared(world: World, revision: str = NAME) -> list[Object]:
    return [found for found in living(world, revision) if is_prepared(found)]


def uids(pods: list[Object]) -> set[str]:
    return {found["metadata"]["uid"] for found in pods}


def runs(obj: Object) -> Object:
    return make.created() if is_prepared(obj) else make.running()


async def deployed(world: World, annotations: dict[str, str] | None = None) -> None:
    """A service with one ready instance and one prepared Pod."""
    world.node_runs = runs
    await world.apply(make.service(template=make.template(IMAGE, annotations=annotations or {})))
    await world.until(lambda: world.is_ready(kinds.SERVICE, "hello"))
    await world.until(lambda: any(map(is_created, living(world))))


async def test_a_prepared_pod_is_kept_beside_the_instances_and_at_zero(tmp_path: Path) -> None:
    async with controlled(tmp_path) as world:
        await deployed(world)
        assert len(living(world)) == 2
        assert len(prepared(world)) == 1

        await world.scale(NAME, 0)

        await world.until(lambda: len(living(world)) == 1 and prepared(world))
        assert names.PREPARED not in prepared(world)[0]["metadata"].get("annotations", {})
        await world.until(lambda: world.get(kinds.POD_AUTOSCALER, NAME)["status"]["actualScale"] == 0)
        assert world.is_ready(kinds.REVISION, NAME)


async def test_the_node_is_notified_of_a_woken_pod_and_the_next_one_is_prepared_after_it_is_ready(
    tmp_path: Path,
) -> None:
    notified: list[tuple[Key, bool]] = []

    def wake(name: Key) -> None:
        notified.append((name, is_prepared(world.get(kinds.POD, name.name))))

    async with controlled(tmp_path, wake=wake) as world:
        await deployed(world)
        await world.scale(NAME, 0)
        await world.until(lambda: len(living(world)) == 1)
        (before,) = prepared(world)
        world.node_runs = lambda obj: make.created() if is_prepared(obj) else None

        world.controllers.expect_scale(Key(make.NAMESPACE, NAME), 1)
        await world.scale(NAME, 1)
        await world.until(lambda: not is_prepared(world.get(kinds.POD, before["metadata"]["name"])))
        assert notified == [(Key(make.NAMESPACE, before["metadata"]["name"]), True)]
        assert uids(living(world)) == uids([before])

        world.node_runs = runs
        await world.touch(before["metadata"]["name"])
        await world.until(lambda: any(map(is_created, living(world))))
        assert [is_ready(found) for found in living(world)].count(True) == 1


async def test_a_revision_that_asks_for_none_has_no_prepared_pod(tmp_path: Path) -> None:
    async with controlled(tmp_path) as world:
        world.node_runs = runs
        await world.apply(make.service(template=make.template(IMAGE, annotations={names.PREPARED: "0"})))
        await world.until(lambda: world.is_ready(kinds.SERVICE, "hello"))
        await world.apply(make.service("other", template=make.template(IMAGE)))
        await world.until(lambda: prepared(world, "other-00001"))

        assert len(living(world)) == 1


async def test_a_replaced_revision_loses_its_prepared_pod(tmp_path: Path) -> None:
    async with controlled(tmp_path) as world:
        await deployed(world)

        changed = make.template(IMAGE, container={"env": [{"name": "A", "value": "b"}]})
        await world.apply(make.service(template=changed))

        await world.until(lambda: prepared(world, "hello-00002"))
        await world.scale(NAME, 0)
        await world.until(lambda: not living(world))


async def test_the_revisions_that_were_used_last_have_the_prepared_pods_of_the_machine(tmp_path: Path) -> None:
    limit = {"config-deployment": {"prepared-pods-limit": "1"}}
    async with controlled(tmp_path, config=limit) as world:
        await deployed(world)
        await world.scale(NAME, 0)
        await world.apply(make.service("other", template=make.template(IMAGE)))
        await world.until(lambda: prepared(world, "other-00001") and not prepared(world))

        await world.scale(NAME, 1)

        await world.until(lambda: prepared(world) and not prepared(world, "other-00001"))


async def test_prepared_pods_make_room_for_an_instance_that_a_quota_rejects(tmp_path: Path) -> None:
    async with controlled(tmp_path) as world:
        await deployed(world)
        await world.scale(NAME, 0)
        await world.until(lambda: len(living(world)) == 1)
        await world.limit(pods="1")

        await world.apply(make.service("other", template=make.template(IMAGE)))

        await world.until(lambda: world.is_ready(kinds.SERVICE, "other"))
        assert not living(world)


async def test_a_prepared_pod_that_a_quota_rejects_does_not_affect_its_revision(tmp_path: Path) -> None:
    async with controlled(tmp_path) as world:
        world.node_runs = runs
        await world.limit(pods="1")
        await world.apply(make.service(template=make.template(IMAGE)))
        await world.until(lambda: world.is_ready(kinds.SERVICE, "hello"))
        await world.until(lambda: labels(world.get(kinds.REVISION, NAME)).get(names.ROUTING_STATE) == "active")

        await eventually(lambda: world.rejecting.rejections, "a rejected prepared Pod")

        assert world.is_ready(kinds.SERVICE, "hello")
        assert world.condition(kinds.REVISION, NAME, "ResourcesAvailable")[0] == "True"
        assert ("Revision", "FailedCreate") not in world.events()


async def test_pods_of_few_revisions_are_prepared_at_a_time(tmp_path: Path) -> None:
    async with controlled(tmp_path) as world:
        world.node_runs = lambda obj: {"phase": "Pending"} if is_prepared(obj) else make.running()
        services = [f"hello{number}" for number in range(6)]
        for name in services:
            await world.apply(make.service(name, template=make.template(IMAGE)))

        def found() -> list[Object]:
            return [pod for name in services for pod in prepared(world, f"{name}-00001")]

        await world.until(lambda: all(world.is_ready(kinds.SERVICE, name) for name in services) and len(found()) == 4)
        world.node_runs = runs
        for pod in found():
            await world.touch(pod["metadata"]["name"])

        await world.until(lambda: len(found()) == 6)
