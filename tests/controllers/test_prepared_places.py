# SPDX-License-Identifier: Apache-2.0
"""The places for prepared Pods on this machine, and when a Revision gets the next prepared Pod."""

from hypothesis import given
from hypothesis import strategies as st

from tidegate.controllers.serving.preparation import most_by_memory
from tidegate.controllers.serving.prepared_places import PreparedPlaces
from tidegate.model.objects import Key

A, B, C = (Key("default", name) for name in "abc")


def test_free_places_are_given_in_the_order_of_asking_and_a_freed_one_to_the_next() -> None:
    woken: list[Key] = []
    places = PreparedPlaces(3, woken.append)

    assert [places.ask(A, 2), places.ask(B, 2), places.ask(C, 1)] == [2, 0, 1]

    places.forget(A)
    assert woken[-1] == B
    assert places.ask(B, 2) == 2


def test_a_revision_that_starts_an_instance_gets_the_places_of_the_one_that_was_unused_longest() -> None:
    woken: list[Key] = []
    places = PreparedPlaces(2, woken.append)
    for name in (A, B, C):
        places.ask(name, 1)
    places.use(A)
    woken.clear()

    places.use(C)

    assert woken == [B]
    assert [places.ask(A, 1), places.ask(B, 1), places.ask(C, 1)] == [1, 0, 1]


def test_two_revisions_in_use_do_not_take_places_from_each_other_by_asking() -> None:
    places = PreparedPlaces(1, lambda name: None)

    assert places.ask(A, 1, in_use=True) == 1
    assert places.ask(B, 1, in_use=True) == 1
    assert [places.ask(A, 1, in_use=True), places.ask(B, 1, in_use=True)] == [0, 1]


def test_a_lower_limit_takes_places_back_and_a_higher_one_gives_them() -> None:
    woken: list[Key] = []
    places = PreparedPlaces(2, woken.append)
    for name in (A, B):
        places.ask(name, 1)
    places.use(A)
    woken.clear()

    places.limit(0)
    assert sorted(woken) == [A, B]
    assert places.ask(A, 1) == places.ask(B, 1) == 0

    places.limit(1)
    assert places.ask(A, 1) == 1
    assert places.ask(B, 1) == 0


def test_a_revision_that_asks_for_more_than_the_machine_has_gets_all_places() -> None:
    places = PreparedPlaces(3, lambda name: None)

    assert places.ask(A, 100) == 3
    assert places.ask(A, 2) == 2


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 1), st.booleans()), max_size=60), st.integers(0, 6))
def test_all_places_of_the_machine_are_given_to_revisions_that_ask_and_no_more(
    calls: list[tuple[str, int, bool]], most: int
) -> None:
    places, asked = PreparedPlaces(most, lambda name: None), dict[Key, int]()
    for name, count, used in calls:
        revision = Key("default", name)
        asked[revision] = count
        places.ask(revision, count)
        if used:
            places.use(revision)

    given_now = [places.ask(revision, count) for revision, count in asked.items()]

    assert sum(given_now) == min(most, sum(asked.values()))


def test_prepared_pods_take_a_small_part_of_the_memory_of_the_nodes() -> None:
    def node(memory: str) -> dict[str, object]:
        return {"metadata": {}, "status": {"capacity": {"memory": memory}}}

    assert most_by_memory([node("4Gi")]) == 32
    assert most_by_memory([node("4Gi"), node("4194304Ki")]) == 64
    assert most_by_memory([node("1Ti")]) == 200
    assert most_by_memory([{"metadata": {}}]) == 0
