# SPDX-License-Identifier: Apache-2.0
"""Which Pods a scale-down deletes, and in which order."""

from hypothesis import given
from hypothesis import strategies as st

from harness import make
from tidegate.controllers.serving.deletion_order import surplus_pods
from tidegate.model import names
from tidegate.model.objects import Object

REVISION = make.revision()


def pod(number: int, *, ready: bool = True, created: int = 0) -> Object:
    """A Pod at a port of its own, created at second `created`."""
    stamp = f"2026-01-01T00:00:{created:02d}Z"
    annotations = {names.PORT: str(4000 + number)}
    return make.pod(
        REVISION, f"{number:05d}", ready=ready, annotations=annotations, metadata={"creationTimestamp": stamp}
    )


def suffixes(pods: list[Object]) -> list[int]:
    return [int(found["metadata"]["name"].rpartition("-")[2]) for found in pods]


def test_a_pod_that_cannot_run_is_deleted_first_then_unready_idle_restarted_and_young_ones() -> None:
    def oldest(number: int, status: Object) -> Object:
        """A Pod older than all others."""
        return {**pod(number), "status": {"podIP": "127.0.0.1", **status}}

    again, unscheduled = make.ended(ends=1, state="running"), make.conditions(PodScheduled="False")
    restarted = make.running()
    restarted["containerStatuses"][0]["restartCount"] = 2
    pods = [
        pod(1, created=1),
        pod(2, created=2),
        oldest(3, restarted),
        pod(4, created=4),
        oldest(5, again),
        pod(6, ready=False, created=6),
        oldest(7, make.crashed("broken")),
        {**pod(8, created=8), "status": {"phase": "Pending", "conditions": unscheduled}},
    ]
    load = {"127.0.0.1:4001": 1, "127.0.0.1:4005": 2}

    assert suffixes(surplus_pods(pods, 8, load)) == [8, 7, 6, 5, 3, 4, 2, 1]


def test_an_unready_pod_is_deleted_first_then_idle_and_young_ones() -> None:
    pods = [pod(1, created=1), pod(2, created=2), pod(3, created=3), pod(4, created=4, ready=False), pod(5, created=0)]
    load = {"127.0.0.1:4001": 0, "127.0.0.1:4002": 3, "127.0.0.1:4003": 1, "127.0.0.1:4005": 0}

    assert suffixes(surplus_pods(pods, 5, load)) == [4, 1, 5, 3, 2]


def test_no_pod_is_deleted_without_a_surplus() -> None:
    assert surplus_pods([pod(1)], 0, {}) == []
    assert surplus_pods([pod(1)], -2, {}) == []


@given(st.lists(st.integers(0, 5), max_size=12), st.integers(0, 12))
def test_no_deleted_pod_has_more_requests_than_a_remaining_one(loads: list[int], surplus: int) -> None:
    pods = [pod(number) for number in range(len(loads))]
    load = {f"127.0.0.1:{4000 + number}": found for number, found in enumerate(loads)}

    deleted = suffixes(surplus_pods(pods, surplus, load))

    stay = [found for number, found in enumerate(loads) if number not in deleted]
    assert len(deleted) == min(surplus, len(loads))
    assert not deleted or not stay or max(loads[number] for number in deleted) <= min(stay)
