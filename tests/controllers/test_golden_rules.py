# SPDX-License-Identifier: Apache-2.0
"""Single rules of Knative, compared with recorded results: names of children, reachability, collection of old
revisions, steps of a rollout.

Intended differences, both in rollouts:

| Knative | here |
| --- | --- |
| crashes when a share is cut by at least what the oldest revision still has | continues with the remaining revisions |
| a step larger than the remaining share makes the next turn forget the rollout | the step becomes smaller |
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from harness import make
from tests import golden
from tidegate.controllers.serving import pod_autoscaler, revision_collector, rollout, rollout_state
from tidegate.model import names
from tidegate.model.conditions import timestamp
from tidegate.model.config import Configs
from tidegate.model.objects import Object

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def cases(name: str) -> list[Any]:
    found = golden.files("resources", f"{name}.json")
    return golden.load(found[0])["cases"] if found else []


@pytest.mark.parametrize("case", cases("child-names"))
def test_the_names_of_children_match_knatives(case: Any) -> None:
    assert names.child_name(case["parent"], case["suffix"]) == case["out"]


@pytest.mark.parametrize("case", cases("reachability"))
def test_the_reachability_of_a_revision_matches_knatives(case: Any) -> None:
    given = make.revision(labels={names.ROUTING_STATE: case["routing_state"]})
    if case["condition"]:
        given = make.observed(given, **{case["condition"]: (case["condition_status"], "Why", "")})
    deployment = case["deployment"] or {"replicas": 0, "ready_replicas": 0}

    replicas, ready = deployment["replicas"], deployment["ready_replicas"]
    reached = pod_autoscaler.reachability(given, replicas, ready, initialized=False)

    assert reached == case["reachability"]


def collected(given: Object) -> Object:
    """A revision from a row of the recorded data."""
    made = make.revision(given["name"], labels={names.ROUTING_STATE: given["routing_state"]})
    idle = given["routing_state_modified_seconds_ago"]
    annotations = {names.NO_GC: given["no_gc_annotation"]} if given["no_gc_annotation"] else {}
    if idle is not None:
        annotations[names.ROUTING_STATE_MODIFIED] = timestamp(NOW - timedelta(seconds=idle))
    created = timestamp(NOW - timedelta(seconds=given["created_seconds_ago"]))
    return {**made, "metadata": {**made["metadata"], "annotations": annotations, "creationTimestamp": created}}


@pytest.mark.parametrize("case", cases("gc"), ids=lambda case: case["note"])
def test_the_collected_revisions_match_knatives(case: Any) -> None:
    rules = Configs.parse({"config-gc": case["config_gc"]}).gc
    given = [collected(found) for found in case["revisions"] if not found.get("other_configuration")]

    deleted = revision_collector.collectable(given, case["latest_ready_revision"], rules, NOW)

    found = [revision["metadata"]["name"] for revision in deleted]
    assert sorted(found) == sorted(case["expected"]["deleted"])
    assert found == (case["expected"]["deleted_in_order"] or [])


@pytest.mark.parametrize("case", cases("rollout-step"), ids=lambda case: str(case["id"]))
def test_the_steps_of_a_rollout_match_knatives(case: Any) -> None:
    current = rollout_state.from_json(case["current"])
    previous = rollout_state.from_json(case["previous"]) if case["previous"] else None
    expected = case["expected"]

    stepped, due = rollout.step(current, previous, case["now"])

    assert rollout.is_valid(stepped)
    if "panic" not in expected and expected["valid"]:
        assert rollout_state.as_json(stepped) == expected["rollout"]
        assert (due or 0, stepped.done) == (expected["next_step_time"], expected["done"])


@pytest.mark.parametrize("case", cases("rollout-observe-ready"))
def test_the_pace_of_a_rollout_matches_knatives(case: Any) -> None:
    given = rollout_state.from_json(case["rollout"])

    paced = rollout.observe_ready(given, case["now"], case["duration_seconds"])

    assert rollout_state.as_json(paced) == case["expected"]


@pytest.mark.parametrize("case", cases("rollout-validate"))
def test_a_rollout_is_valid_if_it_is_in_knative(case: Any) -> None:
    assert rollout.is_valid(rollout_state.from_json(case["rollout"])) == case["valid"]
