# SPDX-License-Identifier: Apache-2.0
"""Instances on standby: which ones are frozen, and when one is woken instead of a new one created."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from harness import make
from tests.controllers.world import World, controlled
from tidegate.controllers.serving.standby import places, plan
from tidegate.model import kinds, names
from tidegate.model.objects import Key, Object, annotations, is_deleting, labels
from tidegate.model.pods import is_frozen, is_ready, is_standby

REVISION = make.revision()
TWO = make.template(annotations={names.STANDBY: "2"})
NAME = "hello-00001"


def pod(number: int, *, ready: bool = True) -> Object:
    return make.pod(REVISION, f"{number:05d}", ready=ready)


def standby(number: int, *, frozen: bool = True) -> Object:
    made = make.pod(REVISION, f"{number:05d}")
    return make.standing_by({**made, "status": make.frozen()} if frozen else made)


def test_frozen_pods_are_woken_first_then_starting_ones_and_the_rest_is_created() -> None:
    starting, frozen = standby(1, frozen=False), standby(2)

    assert plan(1, 0, [], [starting, frozen], 2) == ([frozen], [], [], 0, 0)
    assert plan(5, 1, [], [starting, frozen], 2) == ([frozen, starting], [], [], 2, 0)


def test_surplus_pods_fill_the_free_places_on_standby_the_best_first() -> None:
    idle, unready, busy = pod(1), pod(2, ready=False), pod(3)

    assert plan(1, 4, [unready, idle, busy], [], 1) == ([], [busy], [unready, idle], 0, 0)
    assert plan(0, 3, [unready, idle, busy], [], 5) == ([], [busy, idle], [unready], 0, 3)
    assert plan(1, 2, [idle], [standby(4)], 1) == ([], [], [idle], 0, 0)


def test_places_are_filled_at_zero_only_and_a_pod_without_a_place_is_deleted() -> None:
    assert plan(0, 0, [], [standby(1)], 3) == ([], [], [], 0, 2)
    assert plan(1, 1, [], [standby(1)], 3) == ([], [], [], 0, 0)
    assert plan(0, 0, [], [standby(1), standby(2, frozen=False)], 1).delete[0]["metadata"]["name"] == f"{NAME}-00002"


@given(st.integers(0, 6), st.integers(0, 6), st.integers(0, 6), st.integers(0, 6))
def test_a_plan_has_the_wanted_pods_in_use_and_no_more_on_standby_than_places(
    wanted: int, used: int, waiting: int, free: int
) -> None:
    surplus = [pod(number) for number in range(max(0, used - wanted))]

    made = plan(wanted, used, surplus, [standby(10 + number) for number in range(waiting)], free)

    left = used - len(surplus)
    assert left + len(made.wake) + made.create == wanted
    assert len(made.freeze) + len(made.delete) == len(surplus) + max(0, waiting - len(made.wake) - free)
    deleted = max(0, waiting - len(made.wake) - free)
    on_standby = waiting - len(made.wake) - deleted + len(made.freeze) + made.create_standby
    assert on_standby == free if wanted == 0 else on_standby <= free


def test_a_revision_without_traffic_has_no_places() -> None:
    asked = {names.STANDBY: "3"}
    assert places(make.revision(annotations=asked)) == 3
    assert places(make.revision()) == 0
    assert places(make.revision(annotations={names.STANDBY: "some"})) == 0
    for state in ("reserve", "pending"):
        assert places(make.revision(annotations=asked, labels={names.ROUTING_STATE: state})) == 0


def living(world: World, revision: str = NAME) -> list[Object]:
    return [found for found in world.pods(revision) if not is_deleting(found)]


def uids(pods: list[Object]) -> set[str]:
    return {found["metadata"]["uid"] for found in pods}


def waiting(world: World, revision: str = NAME) -> list[Object]:
    return [found for found in living(world, revision) if is_standby(found) and is_frozen(found)]


def runs(obj: Object) -> Object:
    return make.frozen() if is_standby(obj) else make.running()


async def at_zero(world: World) -> None:
    """A service at zero whose revision has two places on standby."""
    world.node_runs = runs
    await world.apply(make.service(template=TWO))
    await world.until(lambda: world.is_ready(kinds.SERVICE, "hello"))
    await world.until(lambda: labels(world.get(kinds.REVISION, NAME)).get(names.ROUTING_STATE) == "active")
    await world.scale(NAME, 0)
    await world.until(lambda: len(waiting(world)) == 2 and len(living(world)) == 2)


async def test_at_zero_the_last_instance_is_frozen_and_the_other_places_are_filled(tmp_path: Path) -> None:
    async with controlled(tmp_path) as world:
        world.node_runs = runs
        await world.apply(make.service(template=TWO))
        await world.until(lambda: world.is_ready(kinds.SERVICE, "hello"))
        await world.until(lambda: labels(world.get(kinds.REVISION, NAME)).get(names.ROUTING_STATE) == "active")
        last = uids(living(world))

        await world.scale(NAME, 0)
        await world.until(lambda: len(waiting(world)) == 2)

        assert last < uids(waiting(world))
        assert names.STANDBY not in annotations(waiting(world)[0])  # that annotation is for the revision
        assert world.is_ready(kinds.REVISION, NAME)
        scale = world.get(kinds.POD_AUTOSCALER, NAME)["status"]
        assert (scale["desiredScale"], scale["actualScale"]) == (0, 0)


async def test_from_zero_to_many_pods_on_standby_are_woken_and_the_rest_is_created(tmp_path: Path) -> None:
    async with controlled(tmp_path) as world:
        await at_zero(world)
        before = uids(waiting(world))

        await world.scale(NAME, 3)
        await world.until(lambda: sum(map(is_ready, living(world))) == 3)

        assert before < uids(living(world))
        assert not waiting(world)


async def test_the_node_is_notified_of_a_woken_pod_before_its_label_is_removed(tmp_path: Path) -> None:
    notified: list[tuple[Key, bool]] = []

    def wake(name: Key) -> None:
        notified.append((name, is_standby(world.get(kinds.POD, name.name))))

    async with controlled(tmp_path, wake=wake) as world:
        await at_zero(world)

        world.controllers.expect_scale(Key(make.NAMESPACE, NAME), 1)
        await world.until(lambda: any(map(is_ready, living(world))))

        (ready,) = filter(is_ready, living(world))
        assert notified == [(Key(make.NAMESPACE, ready["metadata"]["name"]), True)]


async def test_a_deleted_pod_on_standby_is_replaced(tmp_path: Path) -> None:
    async with controlled(tmp_path) as world:
        await at_zero(world)
        deleted, _ = waiting(world)

        await world.delete(kinds.POD, deleted["metadata"]["name"])

        await world.until(lambda: len(waiting(world)) == 2 and deleted["metadata"]["uid"] not in uids(living(world)))


async def test_a_replaced_revision_loses_its_pods_on_standby(tmp_path: Path) -> None:
    async with controlled(tmp_path) as world:
        await at_zero(world)

        changed = make.template(annotations={names.STANDBY: "2"}, container={"env": [{"name": "A", "value": "b"}]})
        await world.apply(make.service(template=changed))

        await world.until(lambda: not living(world))
        await world.until(lambda: world.is_ready(kinds.SERVICE, "hello"))


async def test_a_failed_pod_on_standby_does_not_affect_its_revision(tmp_path: Path) -> None:
    async with controlled(tmp_path) as world:
        await at_zero(world)
        world.node_runs = lambda obj: make.crashed("broken")

        for found in waiting(world):
            await world.delete(kinds.POD, found["metadata"]["name"])
        await world.until(
            lambda: len([found for found in living(world) if found["status"].get("containerStatuses")]) == 2
        )

        assert world.is_ready(kinds.REVISION, NAME)
        await world.scale(NAME, 1)
        await world.until(lambda: world.condition(kinds.REVISION, NAME, "ContainerHealthy")[1] == "ExitCode1")
