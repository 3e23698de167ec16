# SPDX-License-Identifier: Apache-2.0
"""Gradual rollouts: properties of all of them, and one through all controllers."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import make
from tests.controllers.test_apply import splits
from tests.controllers.world import World, controlled
from tidegate.controllers.serving import rollout, rollout_state
from tidegate.controllers.serving.rollout import SECOND, Pace, RevisionShare, Rollout, Shift
from tidegate.kit.clock import VirtualClock
from tidegate.model import kinds, names
from tidegate.model.objects import annotations, status

START = 1_700_000_000 * SECOND


def alone(revision: str, percent: int) -> Rollout:
    return Rollout((Shift("hello", percent, (RevisionShare(revision, percent),)),))


@given(
    percent=st.integers(2, 100),
    duration=st.integers(1, 900),
    ready_after=st.integers(0, 30),
    late=st.lists(st.integers(0, 40), min_size=1, max_size=5),
)
def test_a_rollout_only_grows_keeps_the_sum_of_its_shares_and_ends(
    percent: int, duration: int, ready_after: int, late: list[int]
) -> None:
    goal, now = alone("new", percent), START
    state, due = rollout.step(goal, alone("old", percent), now)
    assert state.shifts[0].shares == tuple(
        share for share in (RevisionShare("old", percent - 1), RevisionShare("new", 1)) if share.percent
    )
    now += ready_after * SECOND
    state = rollout.observe_ready(state, now, duration)

    turns, reached = 0, 1
    while not state.done:
        turns += 1
        assert turns <= percent + 1, "the rollout does not end"
        state, due = rollout.step(goal, state, now)
        shares = state.shifts[0].shares
        assert sum(share.percent for share in shares) == percent
        assert shares[-1].revision == "new"
        assert shares[-1].percent >= reached
        reached = shares[-1].percent
        now = max(now, due or now) + late[turns % len(late)] * SECOND

    assert state == goal


@given(st.integers(2, 100), st.integers(0, 100), st.integers(1, 60))
def test_a_rollout_follows_a_changed_share(percent: int, later: int, size: int) -> None:
    halves = (RevisionShare("old", percent - percent // 2), RevisionShare("new", percent // 2))
    before = Rollout((Shift("hello", percent, halves, pace=Pace(START, START, SECOND, min(size, percent))),))

    state, _ = rollout.step(alone("new", later), before, START)

    assert rollout.is_valid(state)
    assert sum(shift.percent for shift in state.shifts) == later


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"configurations":[{}]}', '{"configurations":[{"configurationName":"a","percent":200}]}'],
)
def test_an_invalid_state_is_ignored(text: str) -> None:
    assert not (rollout_state.loaded(text) or Rollout()).shifts


def test_a_stored_state_is_read_back_unchanged() -> None:
    shares = (RevisionShare("old", 60), RevisionShare("new", 40))
    state = Rollout((Shift("hello", 100, shares, tag="blue", pace=Pace(START, START + 1, 5, 20)),))

    assert rollout_state.loaded(rollout_state.dumped(state)) == state
    assert json.loads(rollout_state.dumped(state))["configurations"][0]["tag"] == "blue"


async def started(world: World) -> None:
    """A second revision has begun to roll out."""
    slowly = {names.ROLLOUT_DURATION: "20s"}
    await world.apply(make.service(annotations=slowly))
    await world.until(lambda: world.is_ready(kinds.SERVICE, "hello"))
    await world.apply(make.service(template=make.template(labels={"version": "two"}), annotations=slowly))
    await world.until(lambda: splits(world) == [("hello-00001", 99), ("hello-00002", 1)])


async def test_a_new_revision_gets_its_traffic_step_by_step(tmp_path: Path) -> None:
    clock = VirtualClock()
    async with controlled(tmp_path, clock=clock) as world:
        await started(world)
        await world.until(lambda: world.condition(kinds.SERVICE, "hello")[1] == "RolloutInProgress")
        await world.until(lambda: "stepSize" in annotations(world.get(kinds.INGRESS, "hello"))[names.ROLLOUT])

        percents = [1]
        while percents[-1] < 100:
            await clock.advance(0.5)
            if splits(world)[-1][1] != percents[-1]:
                percents.append(splits(world)[-1][1])

        # The first 1 % took no time, so each further 5 % takes a second. The test may miss a step between two looks.
        assert set(percents) <= {1, *range(6, 100, 5), 100}
        assert percents == sorted(percents)
        await world.until(lambda: world.is_ready(kinds.SERVICE, "hello"))
        assert status(world.get(kinds.SERVICE, "hello"))["traffic"] == [
            {"revisionName": "hello-00002", "percent": 100, "latestRevision": True}
        ]
