# SPDX-License-Identifier: Apache-2.0
"""As many Pods as the autoscaler wants, and who goes first when there are too many."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tests import make
from tests.apiserver.make import eventually
from tests.controllers.world import World, controlled
from tidegate.controllers.serving.deletion_order import surplus_pods
from tidegate.kit.clock import VirtualClock, settle
from tidegate.model import kinds, names
from tidegate.model.objects import Key, Object, is_deleting, key
from tidegate.model.pods import is_ready

REVISION = make.revision()


def pod(number: int, *, ready: bool = True, created: int = 0) -> Object:
    """A Pod at a port of its own, made at second `created`."""
    stamp = f"2026-01-01T00:00:{created:02d}Z"
    annotations = {names.PORT: str(4000 + number)}
    return make.pod(
        REVISION, f"{number:05d}", ready=ready, annotations=annotations, metadata={"creationTimestamp": stamp}
    )


def suffixes(pods: list[Object]) -> list[int]:
    return [int(found["metadata"]["name"].rpartition("-")[2]) for found in pods]


def test_who_cannot_run_goes_first_then_who_is_not_ready_then_the_idle_then_the_restarted_then_the_youngest() -> None:
    def told(number: int, status: Object) -> Object:
        """The oldest of all."""
        return {**pod(number), "status": {"podIP": "127.0.0.1", **status}}

    again, unscheduled = make.ended(ends=1, state="running"), make.conditions(PodScheduled="False")
    restarted = make.running()
    restarted["containerStatuses"][0]["restartCount"] = 2
    pods = [
        pod(1, created=1),
        pod(2, created=2),
        told(3, restarted),
        pod(4, created=4),
        told(5, again),
        pod(6, ready=False, created=6),
        told(7, make.crashed("broken")),
        {**pod(8, created=8), "status": {"phase": "Pending", "conditions": unscheduled}},
    ]
    load = {"127.0.0.1:4001": 1, "127.0.0.1:4005": 2}

    assert suffixes(surplus_pods(pods, 8, load)) == [8, 7, 6, 5, 3, 4, 2, 1]


def test_who_is_not_ready_goes_first_then_the_idle_then_the_youngest() -> None:
    pods = [pod(1, created=1), pod(2, created=2), pod(3, created=3), pod(4, created=4, ready=False), pod(5, created=0)]
    load = {"127.0.0.1:4001": 0, "127.0.0.1:4002": 3, "127.0.0.1:4003": 1, "127.0.0.1:4005": 0}

    assert suffixes(surplus_pods(pods, 5, load)) == [4, 1, 5, 3, 2]


def test_nobody_goes_when_none_is_too_many() -> None:
    assert surplus_pods([pod(1)], 0, {}) == []
    assert surplus_pods([pod(1)], -2, {}) == []


@given(st.lists(st.integers(0, 5), max_size=12), st.integers(0, 12))
def test_nobody_who_goes_has_more_requests_than_one_who_stays(loads: list[int], surplus: int) -> None:
    pods = [pod(number) for number in range(len(loads))]
    load = {f"127.0.0.1:{4000 + number}": found for number, found in enumerate(loads)}

    gone = suffixes(surplus_pods(pods, surplus, load))

    stay = [found for number, found in enumerate(loads) if number not in gone]
    assert len(gone) == min(surplus, len(loads))
    assert not gone or not stay or max(loads[number] for number in gone) <= min(stay)


async def started(world: World) -> None:
    await world.apply(make.service())
    await world.until(lambda: world.is_ready(kinds.SERVICE, "hello"))


async def scaled(world: World, wanted: int) -> None:
    await world.scale("hello-00001", wanted)
    await world.until(lambda: len(world.pods("hello-00001")) == wanted)


def living(world: World) -> list[Object]:
    return [found for found in world.pods("hello-00001") if not is_deleting(found)]


async def test_instances_follow_the_wanted_scale_up_and_down_to_zero(tmp_path: Path) -> None:
    async with controlled(tmp_path) as world:
        await started(world)

        for wanted in (7, 2, 60, 0, 1):
            await scaled(world, wanted)


async def test_an_announced_scale_is_followed_until_the_autoscaler_writes_one(
    tmp_path: Path,
) -> None:
    async with controlled(tmp_path) as world:
        await started(world)
        await scaled(world, 0)

        world.controllers.expect_scale(Key(make.NAMESPACE, "hello-00001"), 3)

        await world.until(lambda: len(world.pods("hello-00001")) == 3)
        await scaled(world, 4)
        await scaled(world, 1)


async def test_pods_of_an_announced_scale_that_is_never_written_are_deleted(tmp_path: Path) -> None:
    clock = VirtualClock()
    async with controlled(tmp_path, clock=clock) as world:
        await started(world)

        world.controllers.expect_scale(Key(make.NAMESPACE, "hello-00001"), 3)
        await world.until(lambda: sum(map(is_ready, living(world))) == 3)
        await clock.advance(4)
        for _ in range(10):  # whatever follows from three of them is written, so that nothing else wakes anybody
            await world.api.store.settled()
            await settle()
        assert len(living(world)) == 3
        await clock.advance(1)

        await world.until(lambda: len(living(world)) == 1)


async def test_a_revision_at_zero_stays_ready_and_so_does_its_service(tmp_path: Path) -> None:
    async with controlled(tmp_path) as world:
        await started(world)

        await scaled(world, 0)

        await world.until(lambda: world.condition(kinds.REVISION, "hello-00001", "Active")[0] == "False")
        assert world.condition(kinds.REVISION, "hello-00001", "Active")[1] == "NoTraffic"
        assert world.is_ready(kinds.REVISION, "hello-00001")
        assert world.is_ready(kinds.SERVICE, "hello")


async def test_a_pod_that_somebody_deletes_is_replaced(tmp_path: Path) -> None:
    async with controlled(tmp_path) as world:
        await started(world)
        (before,) = living(world)

        await world.delete(kinds.POD, before["metadata"]["name"])

        await world.until(
            lambda: [found["metadata"]["uid"] for found in living(world)] not in ([], [before["metadata"]["uid"]])
        )


async def test_a_pod_that_has_ended_for_good_is_replaced(tmp_path: Path) -> None:
    async with controlled(tmp_path) as world:
        await started(world)
        (before,) = living(world)
        world.node_runs = lambda pod: (
            {"phase": "Failed"} if pod["metadata"]["uid"] == before["metadata"]["uid"] else make.running()
        )

        await world.cluster.patch(
            kinds.POD,
            key(before),
            {"status": {"phase": "Failed"}},
            subresource="status",
        )

        await world.until(
            lambda: (
                (found := living(world)) and before["metadata"]["uid"] not in {pod["metadata"]["uid"] for pod in found}
            )
        )


async def test_a_pod_is_told_who_it_is(tmp_path: Path) -> None:
    async with controlled(tmp_path) as world:
        await started(world)

        (made,) = living(world)

    env = {entry["name"]: entry["value"] for entry in made["spec"]["containers"][0]["env"]}
    assert env == {"K_SERVICE": "hello", "K_CONFIGURATION": "hello", "K_REVISION": "hello-00001"}
    assert made["metadata"]["name"].startswith("hello-00001-")
    assert made["spec"]["terminationGracePeriodSeconds"] == 300


async def limited(world: World, **hard: str) -> None:
    """Set the namespace's quota."""
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "q", "namespace": make.NAMESPACE},
        "spec": {"hard": hard},
    }
    await world.apply(quota)


def failed_create(world: World) -> str:
    """Why the Revision says that there are no more Pods; "" where it does not."""
    status, reason, message = world.condition(kinds.REVISION, "hello-00001", "ResourcesAvailable")
    return message if (status, reason) == ("False", "FailedCreate") else ""


async def test_what_a_quota_has_room_for_is_made_and_the_rest_once_it_is_raised(tmp_path: Path) -> None:
    async with controlled(tmp_path) as world:
        await started(world)
        await limited(world, pods="3")

        await world.scale("hello-00001", 70)
        told = await world.until(lambda: failed_create(world))

        assert told == (
            'pods "hello-00001-" is forbidden: exceeded quota: q, requested: pods=1, used: pods=3, limited: pods=3'
        )
        assert len(world.pods("hello-00001")) == 3
        await world.until(lambda: world.condition(kinds.SERVICE, "hello")[0] == "False")
        assert ("Revision", "FailedCreate") in world.events()

        await limited(world, pods="70")
        await world.until(lambda: len(world.pods("hello-00001")) == 70 and world.is_ready(kinds.SERVICE, "hello"))


async def test_a_place_that_another_gives_back_is_taken(tmp_path: Path) -> None:
    async with controlled(tmp_path) as world:
        await started(world)
        containers = [{"name": "a", "image": "x"}]
        other = {"metadata": {"name": "other", "namespace": make.NAMESPACE}, "spec": {"containers": containers}}
        await world.cluster.create(kinds.POD, other)
        await limited(world, pods="2")
        await world.scale("hello-00001", 2)
        await world.until(lambda: failed_create(world))

        await world.delete(kinds.POD, "other")

        await world.until(lambda: len(world.pods("hello-00001")) == 2 and not failed_create(world))


async def test_who_wants_no_more_is_not_refused_any_more(tmp_path: Path) -> None:
    async with controlled(tmp_path) as world:
        await started(world)
        await limited(world, pods="1")
        await world.scale("hello-00001", 2)
        await world.until(lambda: failed_create(world))

        await world.scale("hello-00001", 1)

        await world.until(lambda: world.is_ready(kinds.SERVICE, "hello"))


async def test_what_is_refused_is_tried_again_now_and_then_only(tmp_path: Path) -> None:
    clock = VirtualClock()
    async with controlled(tmp_path, clock=clock) as world:
        await started(world)
        await limited(world, pods="1")
        await world.scale("hello-00001", 2)
        await world.until(lambda: failed_create(world))
        (pod_there,) = world.pods("hello-00001")

        def attempts() -> int:
            told = [event for event in world.api.list(kinds.EVENT).items if event["reason"] == "FailedCreate"]
            return sum(int(event["count"]) for event in told)

        await eventually(lambda: attempts() == 1)
        for number in range(5):  # whatever else happens to the revision
            await world.cluster.patch(kinds.POD, key(pod_there), {"metadata": {"labels": {"n": str(number)}}})
            await settle()
        assert attempts() == 1
        await clock.advance(1)
        await eventually(lambda: attempts() == 2)
