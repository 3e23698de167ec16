# SPDX-License-Identifier: Apache-2.0
"""The number of Pods follows the wanted scale, as far as a quota allows."""

from pathlib import Path

from harness import make
from tests.apiserver.make import eventually
from tests.controllers.world import World, controlled
from tidegate.kit.clock import VirtualClock, settle
from tidegate.model import kinds
from tidegate.model.objects import Key, Object, is_deleting, key
from tidegate.model.pods import is_ready


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
        for _ in range(10):  # let every write that follows from three Pods end, so that nothing else wakes the key
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


async def test_a_pod_that_a_user_deletes_is_replaced(tmp_path: Path) -> None:
    async with controlled(tmp_path) as world:
        await started(world)
        (before,) = living(world)

        await world.delete(kinds.POD, before["metadata"]["name"])

        await world.until(
            lambda: [found["metadata"]["uid"] for found in living(world)] not in ([], [before["metadata"]["uid"]])
        )


async def test_a_failed_pod_is_replaced(tmp_path: Path) -> None:
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


async def test_a_pod_has_the_names_of_its_service_configuration_and_revision(tmp_path: Path) -> None:
    async with controlled(tmp_path) as world:
        await started(world)

        (made,) = living(world)

    env = {entry["name"]: entry["value"] for entry in made["spec"]["containers"][0]["env"]}
    assert env == {"K_SERVICE": "hello", "K_CONFIGURATION": "hello", "K_REVISION": "hello-00001"}
    assert made["metadata"]["name"].startswith("hello-00001-")
    assert made["spec"]["terminationGracePeriodSeconds"] == 300


async def test_a_rejected_deletion_is_retried(tmp_path: Path) -> None:
    clock = VirtualClock()
    async with controlled(tmp_path, clock=clock) as world:
        await started(world)
        await scaled(world, 2)
        world.rejecting.kept.add(kinds.POD)
        await world.scale("hello-00001", 1)
        await eventually(lambda: world.rejecting.rejections == 1)
        assert len(living(world)) == 2

        world.rejecting.kept.clear()
        await clock.advance(1)

        await world.until(lambda: len(living(world)) == 1)


def failed_create(world: World) -> str:
    """The Revision's message about rejected Pods; "" if it has none."""
    status, reason, message = world.condition(kinds.REVISION, "hello-00001", "ResourcesAvailable")
    return message if (status, reason) == ("False", "FailedCreate") else ""


async def test_pods_within_a_quota_are_created_and_the_others_once_it_is_raised(tmp_path: Path) -> None:
    async with controlled(tmp_path) as world:
        await started(world)
        await world.limit(pods="3")

        await world.scale("hello-00001", 70)
        message = await world.until(lambda: failed_create(world))

        assert message == (
            'pods "hello-00001-" is forbidden: exceeded quota: q, requested: pods=1, used: pods=3, limited: pods=3'
        )
        assert len(world.pods("hello-00001")) == 3
        await world.until(lambda: world.condition(kinds.SERVICE, "hello")[0] == "False")
        assert ("Revision", "FailedCreate") in world.events()

        await world.limit(pods="70")
        await world.until(lambda: len(world.pods("hello-00001")) == 70 and world.is_ready(kinds.SERVICE, "hello"))


async def test_a_pod_is_created_when_a_deleted_one_frees_its_quota(tmp_path: Path) -> None:
    async with controlled(tmp_path) as world:
        await started(world)
        containers = [{"name": "a", "image": "x"}]
        other = {"metadata": {"name": "other", "namespace": make.NAMESPACE}, "spec": {"containers": containers}}
        await world.cluster.create(kinds.POD, other)
        await world.limit(pods="2")
        await world.scale("hello-00001", 2)
        await world.until(lambda: failed_create(world))

        await world.delete(kinds.POD, "other")

        await world.until(lambda: len(world.pods("hello-00001")) == 2 and not failed_create(world))


async def test_a_revision_that_scales_down_to_its_quota_becomes_ready(tmp_path: Path) -> None:
    async with controlled(tmp_path) as world:
        await started(world)
        await world.limit(pods="1")
        await world.scale("hello-00001", 2)
        await world.until(lambda: failed_create(world))

        await world.scale("hello-00001", 1)

        await world.until(lambda: world.is_ready(kinds.SERVICE, "hello"))


async def test_a_rejected_pod_is_retried_only_after_its_wait(tmp_path: Path) -> None:
    clock = VirtualClock()
    async with controlled(tmp_path, clock=clock) as world:
        await started(world)
        await world.limit(pods="1")
        await world.scale("hello-00001", 2)
        await world.until(lambda: failed_create(world))
        (pod_there,) = world.pods("hello-00001")

        def attempts() -> int:
            events = [event for event in world.api.list(kinds.EVENT).items if event["reason"] == "FailedCreate"]
            return sum(int(event["count"]) for event in events)

        await eventually(lambda: attempts() == 1)
        for number in range(5):  # other changes of the revision
            await world.cluster.patch(kinds.POD, key(pod_there), {"metadata": {"labels": {"n": str(number)}}})
            await settle()
        assert attempts() == 1
        await clock.advance(1)
        await eventually(lambda: attempts() == 2)
