# SPDX-License-Identifier: Apache-2.0
"""Targets of Routes, resolved to revisions or rejected with a reason."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import make
from tidegate.controllers.serving.targets import MAIN, Unassignable
from tidegate.controllers.serving.traffic import Traffic, is_where_wanted, resolve
from tidegate.model import names
from tidegate.model.objects import Object


def ready(name: str, **options: Any) -> Object:
    return make.observed(make.revision(name, **options), Ready="True")


REVISIONS = {
    "hello-00001": ready("hello-00001"),
    "hello-00002": ready("hello-00002", generation=2),
    "slow-00001": make.observed(make.revision("slow-00001", of="slow"), Ready="Unknown"),
    "bad-00001": make.observed(make.revision("bad-00001", of="bad"), Ready=("False", "ExitCode1", "")),
    "other-00001": ready("other-00001", of="other"),
    "lost-00001": ready("lost-00001", of="deleted"),
    "free-00001": ready("free-00001", labels={names.SERVICE: "", names.CONFIGURATION: ""}),
}
CONFIGURATIONS = {
    "hello": make.observed(make.configuration("hello"), Ready="True", latestReadyRevisionName="hello-00002"),
    "other": make.observed(make.configuration("other"), Ready="True", latestReadyRevisionName="other-00001"),
    "slow": make.observed(make.configuration("slow"), Ready="Unknown"),
    "bad": make.observed(make.configuration("bad"), Ready=("False", "RevisionFailed", "")),
}


def resolved(*targets: Object, service: str = "") -> Traffic | Unassignable:
    labels = {names.SERVICE: service} if service else {}
    route = make.route(traffic=list(targets), labels=labels)
    return resolve(route, lambda key: CONFIGURATIONS.get(key.name), lambda key: REVISIONS.get(key.name))


def shares(found: Traffic | Unassignable, tag: str = MAIN) -> list[tuple[str, int]]:
    assert isinstance(found, Traffic), found
    return [(target.revision, target.percent) for target in found.by_tag[tag]]


def test_a_target_with_a_configuration_gets_its_latest_ready_revision() -> None:
    assert shares(resolved(make.latest())) == [("hello-00002", 100)]


def test_a_tag_gets_all_requests_of_its_own_host_and_a_share_of_the_main_one() -> None:
    found = resolved(make.latest(90), make.pinned("hello-00001", 10, tag="old"))

    assert shares(found) == [("hello-00002", 90), ("hello-00001", 10)]
    assert shares(found, "old") == [("hello-00001", 100)]


def test_targets_of_the_same_revision_are_added_up() -> None:
    found = resolved(make.pinned("hello-00001", 30), make.pinned("hello-00002", 50), make.pinned("hello-00001", 20))

    assert shares(found) == [("hello-00001", 50), ("hello-00002", 50)]
    assert isinstance(found, Traffic)
    assert [(target.revision, target.percent) for target in found.assigned] == [
        ("hello-00001", 50),
        ("hello-00002", 50),
    ]


def test_a_route_without_a_service_may_target_any_revision_of_its_namespace() -> None:
    assert shares(resolved(make.pinned("other-00001", 60), make.pinned("free-00001", 40))) == [
        ("other-00001", 60),
        ("free-00001", 40),
    ]


@pytest.mark.parametrize(
    ("target", "service", "wanted"),
    [
        (
            make.latest(configuration="no"),
            "",
            (True, "ConfigurationMissing", 'Configuration "no" referenced in traffic'),
        ),
        (make.pinned("no"), "", (True, "RevisionMissing", 'Revision "no" referenced in traffic not found.')),
        (make.latest(configuration="slow"), "", (False, "RevisionMissing", 'Configuration "slow" is waiting for a')),
        (
            make.latest(configuration="bad"),
            "",
            (True, "RevisionMissing", 'Configuration "bad" does not have any ready'),
        ),
        (make.pinned("slow-00001"), "", (False, "RevisionMissing", 'Revision "slow-00001" is not yet ready.')),
        (make.pinned("bad-00001"), "", (True, "RevisionMissing", 'Revision "bad-00001" failed to become ready.')),
        (
            make.pinned("lost-00001"),
            "",
            (True, "ConfigurationMissing", 'Configuration "deleted" referenced in traffic'),
        ),
        (
            make.pinned("other-00001"),
            "hello",
            (True, "RevisionNotOwned", 'Revision "other-00001" belongs to Service "other", not Service "hello".'),
        ),
        (
            make.pinned("free-00001"),
            "hello",
            (True, "RevisionNotOwned", 'Revision "free-00001" does not belong to Service "hello".'),
        ),
    ],
)
def test_an_unassignable_target_has_a_reason(target: Object, service: str, wanted: tuple[bool, str, str]) -> None:
    found = resolved(make.latest(50), {**target, "percent": 50}, service=service)

    assert isinstance(found, Unassignable)
    assert (found.final, found.reason) == wanted[:2]
    assert found.message.startswith(wanted[2])


def test_a_final_reason_takes_precedence() -> None:
    found = resolved(make.latest(50, configuration="slow"), make.pinned("no", 50))

    assert isinstance(found, Unassignable)
    assert found.reason == "RevisionMissing"
    assert found.final


@given(st.lists(st.tuples(st.sampled_from(["hello-00001", "hello-00002", ""]), st.integers(0, 100)), min_size=1))
def test_the_shares_sum_up_to_the_percentages_of_the_targets(targets: list[tuple[str, int]]) -> None:
    given_ = [make.pinned(name, percent) if name else make.latest(percent) for name, percent in targets]

    found = resolved(*given_)

    total = sum(percent for _, percent in targets)
    assert isinstance(found, Traffic)
    assert sum(target.percent for target in found.assigned) == total
    main = shares(found)
    assert len({name for name, _ in main}) == len(main)
    assert sum(percent for _, percent in main) == (total if len(main) > 1 else 100)


@pytest.mark.parametrize(
    ("reached", "wanted"),
    [
        ([("hello-00002", 100, "")], True),
        ([("hello-00001", 100, "")], False),
        ([("hello-00002", 99, ""), ("hello-00001", 1, "")], False),
        ([("hello-00002", 100, "new")], False),
        ([], False),
    ],
)
def test_traffic_is_as_wanted_if_the_status_has_the_targets_of_the_spec(
    reached: list[tuple[str, int, str]], wanted: bool
) -> None:
    entries = [{"revisionName": name, "percent": percent, "tag": tag} for name, percent, tag in reached]
    route = make.observed(make.route(), traffic=entries)

    assert is_where_wanted(route, CONFIGURATIONS["hello"]) == wanted


def test_merged_targets_are_as_wanted() -> None:
    targets = [make.pinned("hello-00001", 40), make.pinned("hello-00001", 60)]
    route = make.observed(make.route(traffic=targets), traffic=[{"revisionName": "hello-00001", "percent": 100}])

    assert is_where_wanted(route, CONFIGURATIONS["hello"])


def mirrored(text: str, *targets: Object, service: str = "") -> Traffic | Unassignable:
    labels = {names.SERVICE: service} if service else {}
    route = make.route(traffic=list(targets), labels=labels, annotations={names.MIRROR: text})
    return resolve(route, lambda key: CONFIGURATIONS.get(key.name), lambda key: REVISIONS.get(key.name))


@pytest.mark.parametrize(
    ("text", "mirrors"),
    [
        ("", {}),
        ("hello-00001=10", {"hello-00001": 10}),
        ("candidate=10,hello-00001=0", {"hello-00002": 10}),
        ("old=5", {"hello-00001": 5}),
        ("slow-00001=100", {"slow-00001": 100}),  # a mirror that is not ready: no client waits for it
    ],
)
def test_a_mirror_is_the_revision_of_a_tag_or_a_named_revision(text: str, mirrors: dict[str, int]) -> None:
    found = mirrored(text, make.pinned("hello-00001", tag="old"), make.latest(0, tag="candidate"))

    assert isinstance(found, Traffic)
    assert found.mirrors == mirrors


@pytest.mark.parametrize(
    ("text", "service", "wanted"),
    [
        ("absent=1", "", (True, "RevisionMissing", f'Revision "absent" referenced in {names.MIRROR} not found.')),
        (
            "other-00001=1",
            "hello",
            (True, "RevisionNotOwned", 'Revision "other-00001" belongs to Service "other", not Service "hello".'),
        ),
    ],
)
def test_a_missing_mirror_is_rejected_like_a_missing_target(
    text: str, service: str, wanted: tuple[bool, str, str]
) -> None:
    assert mirrored(text, make.latest(), service=service) == wanted
