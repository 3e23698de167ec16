# SPDX-License-Identifier: Apache-2.0
"""The three-way patch of `apply`: the rows of its table, and properties for all objects."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.cli.merge import last_applied, three_way, with_last_applied
from tidegate.model.registry.patches import merge

VALUES = st.recursive(
    st.integers(0, 3) | st.lists(st.integers(0, 2), max_size=2),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3)


@pytest.mark.parametrize(
    ("original", "modified", "current", "patch"),
    [
        ({}, {"a": 1}, {"a": 1}, {}),
        ({}, {"a": 1}, {}, {"a": 1}),
        ({"a": 1}, {"a": 2}, {"a": 1}, {"a": 2}),
        ({"a": 1}, {"a": 1}, {"a": 9}, {"a": 1}),
        ({"a": 1}, {}, {"a": 1}, {"a": None}),
        ({"a": 1}, {}, {"a": 9}, {"a": None}),
        ({"a": 1}, {}, {}, {}),
        ({}, {}, {"a": 1}, {}),
        ({"o": {"a": 1}}, {"o": {}}, {"o": {"a": 1, "b": 2}}, {"o": {"a": None}}),
        ({"l": [1, 2]}, {"l": [1]}, {"l": [1, 2, 3]}, {"l": [1]}),
        ({}, {"a": None}, {}, {}),
        ({}, {"a": None}, {"a": 1}, {"a": None}),
    ],
)
def test_the_patch_follows_the_table(original: Any, modified: Any, current: Any, patch: Any) -> None:
    assert three_way(original, modified, current) == patch


@given(OBJECTS, OBJECTS, OBJECTS)
def test_a_patched_object_has_all_applied_fields_and_needs_no_second_patch(
    original: Any, modified: Any, current: Any
) -> None:
    patched = merge(current, three_way(original, modified, current))

    assert three_way({}, modified, patched) == {}
    assert three_way(modified, modified, patched) == {}


@given(OBJECTS, OBJECTS)
def test_fields_that_were_never_applied_stay(modified: Any, current: Any) -> None:
    patched = merge(current, three_way({}, modified, current))

    assert {name: value for name, value in patched.items() if name not in modified} == {
        name: value for name, value in current.items() if name not in modified
    }


@given(OBJECTS, OBJECTS, OBJECTS)
def test_arguments_of_the_patch_stay_unchanged(original: Any, modified: Any, current: Any) -> None:
    before = copy.deepcopy((original, modified, current))

    three_way(original, modified, current)

    assert (original, modified, current) == before


def test_the_annotation_of_the_last_applied_state_excludes_itself() -> None:
    obj = {"metadata": {"name": "a", "annotations": {"mine": "yes"}}}

    once = with_last_applied(obj)

    assert last_applied(once) == obj
    assert with_last_applied(once) == once


def test_an_unreadable_annotation_counts_as_empty() -> None:
    assert last_applied({"metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{"}}}) == {}
