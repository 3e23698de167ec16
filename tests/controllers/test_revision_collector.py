# SPDX-License-Identifier: Apache-2.0
"""Old revisions are deleted by the rules of config-gc, when their retain times have passed."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from harness import make
from tests.controllers.world import controlled
from tidegate.controllers.serving.revision_collector import collectable, next_stale
from tidegate.kit.clock import VirtualClock
from tidegate.model import kinds, names
from tidegate.model.conditions import timestamp
from tidegate.model.config import GCConfig
from tidegate.model.objects import Object

NOW = datetime(2026, 6, 1, tzinfo=UTC)
HOUR = 3600.0


def idle(number: int, age: float, *, state: str = "reserve") -> Object:
    """A revision that was created, and lost its last Route, `age` seconds ago."""
    stamp = timestamp(NOW - timedelta(seconds=age))
    return make.revision(
        f"hello-{number:05d}",
        labels={names.ROUTING_STATE: state},
        annotations={names.ROUTING_STATE_MODIFIED: stamp},
        metadata={"creationTimestamp": stamp},
    )


@given(
    st.lists(st.tuples(st.integers(0, 200), st.sampled_from(["reserve", "active"])), max_size=8),
    st.integers(0, 4),
    st.none() | st.integers(4, 8),
)
def test_the_configured_bounds_hold_for_any_revisions(
    found: list[tuple[int, str]], fewest: int, most: int | None
) -> None:
    revisions = [idle(number, hours * HOUR, state=state) for number, (hours, state) in enumerate(found)]
    rules = GCConfig(min_non_active_revisions=fewest, max_non_active_revisions=most)

    deleted = collectable(revisions, "", rules, NOW)

    left = [revision for revision in revisions if revision not in deleted]
    idle_left = [revision for revision in left if revision["metadata"]["labels"][names.ROUTING_STATE] == "reserve"]
    idle_before = sum(state == "reserve" for _, state in found)
    assert len(left) - len(idle_left) == len(found) - idle_before, "an active revision was deleted"
    assert len(idle_left) >= min(fewest, idle_before)
    assert most is None or len(idle_left) <= max(most, fewest)


def test_the_next_turn_is_when_the_next_revision_becomes_stale() -> None:
    rules = GCConfig(min_non_active_revisions=1)
    revisions = [idle(1, 47 * HOUR), idle(2, 1 * HOUR)]

    assert collectable(revisions, "", rules, NOW) == []
    assert next_stale(revisions, "", rules, NOW) == NOW + timedelta(hours=1)
    assert next_stale(revisions[:1], "", rules, NOW) is None, "one idle revision is always kept"


def test_an_invalid_time_in_an_annotation_counts_as_the_creation() -> None:
    odd = make.revision(
        labels={names.ROUTING_STATE: "reserve"}, annotations={names.ROUTING_STATE_MODIFIED: "yesterday"}
    )

    assert collectable([odd], "", GCConfig(min_non_active_revisions=0), NOW) == [odd]


async def test_an_old_revision_is_deleted_when_its_retain_time_has_passed(tmp_path: Path) -> None:
    rules = {
        "min-non-active-revisions": "0",
        "retain-since-create-time": "10m",
        "retain-since-last-active-time": "5m",
    }
    clock = VirtualClock()
    async with controlled(tmp_path, clock=clock, config={"config-gc": rules}) as world:
        await world.apply(make.service())
        await world.until(lambda: world.is_ready(kinds.SERVICE, "hello"))
        await world.apply(make.service(template=make.template(labels={"version": "two"})))
        await world.until(lambda: world.is_ready(kinds.REVISION, "hello-00002"))
        await world.until(
            lambda: world.get(kinds.REVISION, "hello-00001")["metadata"]["labels"][names.ROUTING_STATE] == "reserve"
        )
        await world.until(lambda: world.is_ready(kinds.SERVICE, "hello"))

        await clock.advance(599)
        assert world.find(kinds.REVISION, "hello-00001") is not None

        await clock.advance(2)
        await world.until(lambda: world.find(kinds.REVISION, "hello-00001") is None)
        assert world.is_ready(kinds.SERVICE, "hello")
