# SPDX-License-Identifier: Apache-2.0
"""Server-side apply: the owners of fields, and the result of several managers."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from hypothesis import given as drawn
from hypothesis import strategies as st

from harness.apiserver import opened, served
from tests.apiserver import make
from tests.apiserver.make import given
from tidegate.apiserver.registry import ownership
from tidegate.apiserver.registry.api import Api, ApplyOptions, WriteOptions
from tidegate.apiserver.registry.ownership import FieldManager
from tidegate.kit.clock import RealClock
from tidegate.model import errors
from tidegate.model.kinds import CONFIG_MAP, SERVICE
from tidegate.model.objects import Key, Object

A, HELLO = Key("default", "a"), Key("default", "hello")
ANN, BOB = FieldManager("ann", "Apply"), FieldManager("bob", "Apply")


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with opened(tmp_path) as api:
        yield api


async def apply(api: Api, by: FieldManager, data: dict[str, Any], *, force: bool = False, **metadata: Any) -> Object:
    manifest = make.config_map(data=data, **metadata)
    return (await api.apply(CONFIG_MAP, A, manifest, ApplyOptions(by, force), user=make.USER))[0].object


def owned(obj: Object) -> dict[tuple[str, str], Any]:
    """The fields of each manager, by name and operation."""
    entries = obj["metadata"].get("managedFields", [])
    return {(entry["manager"], entry["operation"]): entry["fieldsV1"] for entry in entries}


def fields(*names: str) -> Object:
    return {"f:data": {f"f:{name}": {} for name in names}}


async def test_an_apply_creates_a_missing_object_with_its_owner(api: Api) -> None:
    admitted, is_new = await api.apply(
        CONFIG_MAP, A, make.config_map(data={"x": "1"}), ApplyOptions(ANN), user=make.USER
    )

    assert is_new
    assert owned(admitted.object) == {("ann", "Apply"): fields("x")}
    (entry,) = admitted.object["metadata"]["managedFields"]
    assert (entry["fieldsType"], entry["apiVersion"]) == ("FieldsV1", "v1")


async def test_an_apply_without_changes_writes_nothing(api: Api) -> None:
    first = await apply(api, ANN, {"x": "1"})

    assert await apply(api, ANN, {"x": "1"}) is first


async def test_a_field_that_is_no_longer_applied_is_removed_unless_another_owns_it(api: Api) -> None:
    await apply(api, ANN, {"x": "1", "y": "1"}, labels={"a": "b"})
    await apply(api, BOB, {"y": "1"})
    last = await apply(api, ANN, {"z": "1"})

    assert last["data"] == {"y": "1", "z": "1"}
    assert "labels" not in last["metadata"]
    assert owned(last) == {("bob", "Apply"): fields("y"), ("ann", "Apply"): fields("z")}


async def test_another_value_for_a_field_of_another_manager_is_a_conflict(api: Api) -> None:
    stored = await apply(api, ANN, {"x": "1", "y": "1"})
    with pytest.raises(errors.Conflict) as conflict:
        await apply(api, BOB, {"x": "2", "y": "2", "z": "1"})

    status = conflict.value.status()
    assert status["message"].startswith('Apply failed with 2 conflicts: conflict with "ann" using v1: .data.x, conf')
    assert [cause["field"] for cause in status["details"]["causes"]] == [".data.x", ".data.y"]
    assert {cause["reason"] for cause in status["details"]["causes"]} == {"FieldManagerConflict"}
    assert api.get(CONFIG_MAP, A) is stored


async def test_a_forced_apply_takes_the_field_from_its_owner(api: Api) -> None:
    await apply(api, ANN, {"x": "1", "y": "1"})
    last = await apply(api, BOB, {"x": "2"}, force=True)

    assert last["data"] == {"x": "2", "y": "1"}
    assert owned(last) == {("ann", "Apply"): fields("y"), ("bob", "Apply"): fields("x")}


async def test_two_managers_that_apply_the_same_value_share_the_field(api: Api) -> None:
    await apply(api, ANN, {"x": "1"})
    last = await apply(api, BOB, {"x": "1"})

    assert owned(last) == {("ann", "Apply"): fields("x"), ("bob", "Apply"): fields("x")}


async def test_an_update_owns_the_fields_that_it_changes(api: Api) -> None:
    await apply(api, ANN, {"x": "1", "y": "1"})
    changed = make.config_map(data={"x": "2", "y": "1", "z": "1"})
    last = (await api.update(CONFIG_MAP, A, changed, user=make.USER, options=WriteOptions(manager="editor"))).object
    assert owned(last) == {("ann", "Apply"): fields("y"), ("editor", "Update"): fields("x", "z")}
    with pytest.raises(errors.Conflict, match='conflict with "editor"'):
        await apply(api, ANN, {"x": "1", "y": "1"})

    shared = await apply(api, ANN, {"x": "2", "y": "1"})
    assert owned(shared)["ann", "Apply"] == fields("x", "y")


async def test_a_field_that_an_update_removes_has_no_owner(api: Api) -> None:
    await apply(api, ANN, {"x": "1", "y": "1"})
    last = (await api.update(CONFIG_MAP, A, make.config_map(data={"y": "1"}), user=make.USER)).object

    assert owned(last) == {("ann", "Apply"): fields("y")}


async def test_fields_from_before_the_first_apply_belong_to_before_first_apply(api: Api) -> None:
    await given(api, CONFIG_MAP, make.config_map(data={"x": "1", "y": "1"}))
    with pytest.raises(errors.Conflict, match='conflict with "before-first-apply"'):
        await apply(api, ANN, {"x": "2"})
    last = await apply(api, ANN, {"x": "1"})

    assert owned(last) == {("before-first-apply", "Update"): fields("x", "y"), ("ann", "Apply"): fields("x")}


async def test_objects_without_an_apply_have_no_owners(api: Api) -> None:
    stored = await given(api, CONFIG_MAP, make.config_map(data={"x": "1"}, managedFields=[{"manager": "liar"}]))
    last = (await api.update(CONFIG_MAP, A, make.config_map(data={"x": "2"}), user=make.USER)).object

    assert "managedFields" not in stored["metadata"]
    assert "managedFields" not in last["metadata"]


async def test_owners_can_be_dropped_and_changed_by_a_write(api: Api) -> None:
    stored = await apply(api, ANN, {"x": "1"})
    (entry,) = stored["metadata"]["managedFields"]
    renamed = make.config_map(data={"x": "1"}, managedFields=[{**entry, "manager": "carl"}])
    assert owned((await api.update(CONFIG_MAP, A, renamed, user=make.USER)).object) == {("carl", "Apply"): fields("x")}
    dropped = make.config_map(data={"x": "1"}, managedFields=[])

    assert owned((await api.update(CONFIG_MAP, A, dropped, user=make.USER)).object) == {}


async def test_status_and_other_fields_have_separate_owners(api: Api) -> None:
    manifest = {**make.service(), "status": {"url": "ignored"}}
    await api.apply(SERVICE, HELLO, manifest, ApplyOptions(ANN), user=make.USER)
    status = {"metadata": {"name": "hello"}, "status": {"url": "x"}, "spec": {"ignored": 1}}
    controller = FieldManager("controller", "Apply", "status")
    last = (await api.apply(SERVICE, HELLO, status, ApplyOptions(controller), user=make.USER))[0].object

    assert (last["status"], last["spec"]) == ({"url": "x"}, make.service()["spec"])
    assert owned(last) == {
        ("ann", "Apply"): {"f:spec": {"f:template": {"f:spec": {"f:containers": {}}}}},
        ("controller", "Apply"): {"f:status": {"f:url": {}}},
    }
    assert last["metadata"]["managedFields"][1]["subresource"] == "status"
    with pytest.raises(errors.NotFound):
        await api.apply(SERVICE, Key("default", "b"), status, ApplyOptions(controller), user=make.USER)


async def test_an_apply_counts_generations_and_keeps_preconditions(api: Api) -> None:
    await api.apply(SERVICE, HELLO, make.service(), ApplyOptions(ANN), user=make.USER)
    changed = await api.apply(SERVICE, HELLO, make.service(image="two"), ApplyOptions(ANN), user=make.USER)
    assert changed[0].object["metadata"]["generation"] == 2
    stale = make.service(resourceVersion="1")
    with pytest.raises(errors.Conflict, match="modified"):
        await api.apply(SERVICE, HELLO, stale, ApplyOptions(ANN), user=make.USER)
    with pytest.raises(errors.BadRequest, match="does not match the name on the URL"):
        await api.apply(SERVICE, HELLO, make.service("other"), ApplyOptions(ANN), user=make.USER)


async def test_a_dry_apply_changes_nothing(api: Api) -> None:
    admitted, is_new = await api.apply(
        CONFIG_MAP, A, make.config_map(data={"x": "1"}), ApplyOptions(ANN, dry_run=True), user=make.USER
    )

    assert is_new
    assert admitted.object["data"] == {"x": "1"}
    assert not make.exists(api, CONFIG_MAP, "a")


names = st.sampled_from("xyz")
manifests = st.dictionaries(names, st.sampled_from("12") | st.dictionaries(names, st.sampled_from("12")))


@drawn(st.lists(st.tuples(st.sampled_from([ANN, BOB]), manifests), max_size=6))
def test_forced_applies_give_each_manager_its_last_values_and_remove_fields_without_owner(
    steps: list[tuple[FieldManager, dict[str, Any]]],
) -> None:
    now = RealClock().wall()
    obj: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}
    for by, data in steps:
        manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data}
        new = ownership.applied(CONFIG_MAP, obj, manifest, by, force=True)
        obj = ownership.after_apply(obj, new, manifest, by, now)
        for name, value in data.items():
            found = obj["data"][name]
            assert found == value or (isinstance(value, dict) and value.items() <= found.items())
        again = ownership.applied(CONFIG_MAP, obj, manifest, by, force=False)
        assert ownership.after_apply(obj, again, manifest, by, now) == obj


# Over HTTP

CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
APPLY = {"content-type": "application/apply-patch+yaml"}


async def test_a_manifest_in_yaml_is_applied_over_http(tmp_path: Path) -> None:
    async with served(tmp_path) as server, server.client(**APPLY) as client:
        manifest = yaml.safe_dump(make.config_map(data={"x": "1"}))
        url = f"{CONFIG_MAPS}/a?fieldManager=ann"
        assert (await client.patch(url, content=manifest)).status_code == 201
        assert (await client.patch(url, content=manifest)).status_code == 200
        other = manifest.replace("'1'", "'2'")
        conflict = await client.patch(f"{CONFIG_MAPS}/a?fieldManager=bob", content=other)
        assert (conflict.status_code, conflict.json()["reason"]) == (409, "Conflict")
        forced = await client.patch(f"{CONFIG_MAPS}/a?fieldManager=bob&force=true", content=other)
        assert forced.json()["data"] == {"x": "2"}
        assert_refused(await client.patch(f"{CONFIG_MAPS}/a", content=manifest), "fieldManager: must be a name")
        assert_refused(await client.patch(url, content="["), "not valid YAML")
        assert_refused(await client.patch(url, content="[]"), "must be a JSON object")


def assert_refused(answer: httpx.Response, why: str) -> None:
    assert answer.status_code == 400
    assert why in answer.json()["message"]


async def test_the_manager_of_an_http_write_is_its_parameter_or_its_program(tmp_path: Path) -> None:
    async with served(tmp_path) as server, server.client(**{"user-agent": "kn/v1 (linux)"}) as client:
        await client.patch(
            f"{CONFIG_MAPS}/a?fieldManager=ann", content=yaml.safe_dump(make.config_map(data={"x": "1"})), headers=APPLY
        )
        merge = {"content-type": "application/merge-patch+json"}
        await client.patch(f"{CONFIG_MAPS}/a", json={"data": {"y": "1"}}, headers=merge)
        last = await client.patch(f"{CONFIG_MAPS}/a?fieldManager=me", json={"data": {"z": "1"}}, headers=merge)

        assert owned(last.json()) == {
            ("ann", "Apply"): fields("x"),
            ("kn", "Update"): fields("y"),
            ("me", "Update"): fields("z"),
        }
