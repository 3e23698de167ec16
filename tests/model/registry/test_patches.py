# SPDX-License-Identifier: Apache-2.0
"""Patches as functions: the RFC's own examples, Kubernetes' merges, and properties that hold for all inputs."""

import contextlib
import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.model import errors
from tidegate.model.kinds import POD, SERVICE
from tidegate.model.registry import patches, strategic_merge
from tidegate.model.registry.patches import JSON_PATCH, MERGE_PATCH, STRATEGIC_MERGE_PATCH, merge

Json = Any

leaves = st.none() | st.booleans() | st.integers() | st.text(max_size=3)
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3)
)
objects = st.dictionaries(st.text(max_size=2), values, max_size=4)


@pytest.mark.parametrize(
    ("value", "patch", "merged"),
    [  # RFC 7386, appendix A
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_a_merge_patch_merges_by_the_rfc(value: Json, patch: Json, merged: Json) -> None:
    assert merge(value, patch) == merged


@given(objects, objects)
def test_a_merge_patch_is_idempotent_and_changes_no_argument(value: Json, patch: Json) -> None:
    before = copy.deepcopy((value, patch))

    once = merge(value, patch)

    assert merge(once, patch) == once
    assert (value, patch) == before


@given(objects, objects)
def test_a_strategic_merge_of_plain_fields_is_a_merge_patch(value: Json, patch: Json) -> None:
    merged_by_key = {"addresses", "conditions", "env", "ports"}
    if not merged_by_key & {*value, *patch} and not any(name.startswith("$") for name in patch):
        assert strategic_merge.merge(value, without_nulls_inside(patch)) == merge(value, without_nulls_inside(patch))


def without_nulls_inside(patch: Json) -> Json:
    """The outermost fields keep their nulls."""
    return {name: value if not isinstance(value, dict) else {} for name, value in patch.items()}


CONTAINERS = [{"name": "a", "image": "1", "env": [{"name": "X", "value": "1"}]}, {"name": "b", "image": "1"}]


@pytest.mark.parametrize(
    ("value", "patch", "merged"),
    [
        (
            {"containers": CONTAINERS},
            {"containers": [{"name": "b", "image": "2"}, {"name": "c", "image": "3"}]},
            {"containers": [CONTAINERS[0], {"name": "b", "image": "2"}, {"name": "c", "image": "3"}]},
        ),
        (
            {"containers": CONTAINERS},
            {"containers": [{"name": "a", "env": [{"name": "Y", "value": "2"}]}]},
            {
                "containers": [
                    {"name": "a", "image": "1", "env": [{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}]},
                    CONTAINERS[1],
                ]
            },
        ),
        (
            {"containers": CONTAINERS},
            {"containers": [{"name": "a", "$patch": "delete"}]},
            {"containers": [CONTAINERS[1]]},
        ),
        (
            {"containers": CONTAINERS},
            {"containers": [{"$patch": "replace"}, {"name": "c"}]},
            {"containers": [{"name": "c"}]},
        ),
        (
            {"containers": CONTAINERS},
            {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}], "containers": [{"name": "c"}]},
            {"containers": [CONTAINERS[1], CONTAINERS[0], {"name": "c"}]},
        ),
        ({"finalizers": ["x"]}, {"finalizers": ["x", "y"]}, {"finalizers": ["x", "y"]}),
        ({"finalizers": ["x", "y"]}, {"$deleteFromPrimitiveList/finalizers": ["x"]}, {"finalizers": ["y"]}),
        ({"args": ["x"]}, {"args": ["y"]}, {"args": ["y"]}),
        ({"data": {"a": "1"}}, {"data": {"$patch": "replace", "b": "2"}}, {"data": {"b": "2"}}),
        ({"data": {"a": "1"}}, {"data": {"$patch": "delete"}}, {"data": {}}),
        ({"volume": {"a": 1, "b": 2}}, {"volume": {"$retainKeys": ["b"], "b": 3}}, {"volume": {"b": 3}}),
        ({"labels": {"a": "1", "b": "2"}}, {"labels": {"a": None}}, {"labels": {"b": "2"}}),
        ({}, {"containers": [{"name": "a"}]}, {"containers": [{"name": "a"}]}),
    ],
)
def test_a_strategic_merge_follows_kubernetes_types(value: Json, patch: Json, merged: Json) -> None:
    before = copy.deepcopy(value)

    assert strategic_merge.merge(value, patch) == merged
    assert value == before


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        ({"containers": [{"image": "x"}]}, "does not contain declared merge key: name"),
        ({"$setElementOrder/containers": "x"}, "must be an array"),
        ({"$deleteFromPrimitiveList/finalizers": {}}, "must be an array"),
    ],
)
def test_a_malformed_strategic_merge_patch_is_rejected(patch: Json, message: str) -> None:
    with pytest.raises(errors.BadRequest, match=message):
        strategic_merge.merge({"containers": CONTAINERS}, patch)


@given(objects, st.dictionaries(st.sampled_from(["containers", "env", "finalizers", "$patch", "$retainKeys"]), values))
def test_arbitrary_strategic_merge_patches_give_a_value_or_an_error(value: Json, patch: Json) -> None:
    with contextlib.suppress(errors.BadRequest):
        patches.parsed(POD, STRATEGIC_MERGE_PATCH, patch)(value)


def test_custom_resources_accept_no_strategic_merge_patch() -> None:
    with pytest.raises(errors.UnsupportedMediaType, match="application/json-patch\\+json, application/merge-patch"):
        patches.parsed(SERVICE, STRATEGIC_MERGE_PATCH, {})
    assert patches.parsed(POD, STRATEGIC_MERGE_PATCH, {})({"a": 1}) == {"a": 1}


def test_a_json_patch_is_applied_in_order() -> None:
    patch = patches.parsed(
        SERVICE,
        JSON_PATCH,
        [
            {"op": "test", "path": "/a", "value": 1},
            {"op": "add", "path": "/b", "value": [1]},
            {"op": "add", "path": "/b/-", "value": 2},
            {"op": "copy", "from": "/b", "path": "/c"},
            {"op": "move", "from": "/a", "path": "/d~1e"},
            {"op": "replace", "path": "/b/0", "value": 0},
            {"op": "remove", "path": "/c/1"},
        ],
    )
    given = {"a": 1}

    assert patch(given) == {"b": [0, 2], "c": [1], "d/e": 1}
    assert given == {"a": 1}


@pytest.mark.parametrize(
    "operations", [{}, "x", [1], [{}], [{"op": "fly", "path": "/a"}], [{"op": "add", "path": "a"}]]
)
def test_a_malformed_json_patch_is_a_bad_request(operations: Json) -> None:
    with pytest.raises(errors.BadRequest, match="JSON patch"):
        patches.parsed(SERVICE, JSON_PATCH, operations)


@given(
    objects,
    st.lists(
        st.fixed_dictionaries(
            {"op": st.sampled_from(["add", "copy", "move", "remove", "replace", "test"]) | values},
            optional={
                "path": st.sampled_from(["", "/", "/a", "/a/0", "/a/-", "/a/b"]) | values,
                "from": st.sampled_from(["", "/", "/a", "/a/0"]) | values,
                "value": values,
            },
        ),
        max_size=3,
    ),
)
def test_arbitrary_json_patches_give_a_value_or_an_error(value: Json, operations: Json) -> None:
    with contextlib.suppress(errors.BadRequest, errors.Invalid):
        patches.parsed(SERVICE, JSON_PATCH, operations)(value)


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "test", "path": "/a", "value": 2},
        {"op": "remove", "path": "/nowhere"},
        {"op": "replace", "path": "/x/y", "value": 1},
        {"op": "add", "path": "/list/9", "value": 1},
        {"op": "add", "path": "/a/b/c", "value": 1},
        {"op": "copy", "from": "/nowhere", "path": "/a"},
        {"op": "move", "from": "/a", "path": "/a/b"},
    ],
)
def test_a_json_patch_that_does_not_match_the_object_is_invalid(operation: Json) -> None:
    with pytest.raises(errors.Invalid, match="the JSON patch cannot be applied"):
        patches.parsed(SERVICE, JSON_PATCH, [operation])({"a": 1, "list": []})


def test_a_json_patch_copies_a_limited_number_of_bytes() -> None:
    doubling = [{"op": "copy", "from": "/a", "path": f"/a/{n}"} for n in range(60)]
    with pytest.raises(errors.TooLarge, match="copies more than"):
        patches.parsed(SERVICE, JSON_PATCH, doubling)({"a": {"b": "x" * 100}})


def test_a_json_patch_has_a_limited_number_of_operations() -> None:
    with pytest.raises(errors.TooLarge, match="maximum operations in a JSON patch is 10000, got 10001"):
        patches.parsed(SERVICE, JSON_PATCH, [{"op": "remove", "path": "/a"}] * 10_001)


@pytest.mark.parametrize("patch", [[], "x", None, 1])
def test_a_merge_patch_must_be_an_object(patch: Json) -> None:
    with pytest.raises(errors.BadRequest, match="a merge patch must be a JSON object"):
        patches.parsed(POD, MERGE_PATCH, patch)
