# SPDX-License-Identifier: Apache-2.0
"""The verbs on one object, for every caller."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from harness.apiserver import opened
from tests.apiserver import make
from tests.apiserver.make import given
from tidegate.apiserver.registry.api import Api
from tidegate.kit.clock import VirtualClock
from tidegate.model import errors
from tidegate.model.kinds import CONFIG_MAP, NAMESPACE, NODE, POD, SECRET, SERVICE, Kind
from tidegate.model.objects import Key, Object
from tidegate.model.registry.deletion import DeleteOptions

A, HELLO = Key("default", "a"), Key("default", "hello")


async def updated(api: Api, kind: Kind, obj: Object) -> Object:
    key = Key(obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
    return (await api.update(kind, key, obj, user=make.USER)).object


async def test_a_new_object_gets_the_metadata_of_the_server(tmp_path: Path) -> None:
    clock = VirtualClock(wall=datetime(2026, 11, 25, 12, 0, 3, tzinfo=UTC))
    async with opened(tmp_path, clock) as api:
        stored = await given(api, SERVICE, make.service(creationTimestamp=None, generation=7, deletionTimestamp="x"))

        metadata = stored["metadata"]
        assert metadata["creationTimestamp"] == "2026-11-25T12:00:03Z"
        assert metadata["generation"] == 1
        assert metadata["resourceVersion"] == str(api.store.revision)
        assert len(metadata["uid"]) == 36
        assert "deletionTimestamp" not in metadata
        assert api.get(SERVICE, HELLO) is stored


async def test_a_name_can_be_used_once_at_a_time(tmp_path: Path) -> None:
    async with opened(tmp_path) as api:
        first = await given(api, CONFIG_MAP, make.config_map())
        with pytest.raises(errors.AlreadyExists, match='configmaps "a" already exists'):
            await given(api, CONFIG_MAP, make.config_map())
        await api.delete(CONFIG_MAP, A)
        second = await given(api, CONFIG_MAP, make.config_map())

        assert first["metadata"]["uid"] != second["metadata"]["uid"]


async def test_simultaneous_creations_of_a_name_succeed_once(tmp_path: Path) -> None:
    async with opened(tmp_path) as api:
        outcomes = await asyncio.gather(
            *(given(api, CONFIG_MAP, make.config_map(data={"n": str(n)})) for n in range(9)), return_exceptions=True
        )

        assert sum(isinstance(outcome, errors.AlreadyExists) for outcome in outcomes) == 8


async def test_a_generated_name_has_its_prefix_and_is_unused(tmp_path: Path) -> None:
    async with opened(tmp_path) as api:
        wanted = make.pod()
        wanted["metadata"] = {"generateName": "x" * 70, "namespace": "default"}
        pods = await asyncio.gather(*(given(api, POD, wanted) for _ in range(20)))

        names = {pod["metadata"]["name"] for pod in pods}
        assert len(names) == 20
        assert all(name.startswith("x" * 58) and len(name) == 63 for name in names)


@pytest.mark.parametrize(
    ("metadata", "rejection", "message"),
    [
        ({"name": "a", "namespace": "other"}, errors.BadRequest, "does not match the namespace sent on the request"),
        ({"name": "a", "resourceVersion": "1"}, errors.BadRequest, "resourceVersion should not be set"),
        ({"name": 7}, errors.BadRequest, r"metadata\.name: unexpected number"),
        ({"name": "a", "labels": {"x": True}}, errors.BadRequest, r"metadata\.labels\.x: unexpected boolean"),
        ({"name": "a", "labels": []}, errors.BadRequest, r"metadata\.labels: unexpected array"),
        ({"name": "a", "ownerReferences": {}}, errors.BadRequest, r"metadata\.ownerReferences: unexpected object"),
        ({"name": "a", "finalizers": "x"}, errors.BadRequest, r"metadata\.finalizers: unexpected string"),
        ({"name": "a", "ownerReferences": ["x"]}, errors.BadRequest, r"metadata\.ownerReferences\[0\]: unexpected"),
        ({}, errors.Invalid, r"metadata\.name: Required value: name or generateName is required"),
        ({"name": "A_b"}, errors.Invalid, r'metadata\.name: Invalid value: "A_b": a lowercase RFC 1123 subdomain'),
        ({"name": "a" * 254}, errors.Invalid, "must be no more than 253 characters"),
        ({"name": "a", "labels": {"b c": ""}}, errors.Invalid, r"metadata\.labels: Invalid value: \"b c\": name part"),
        ({"name": "a", "labels": {"B!/c": ""}}, errors.Invalid, "prefix part a lowercase RFC 1123 subdomain"),
        ({"name": "a", "labels": {"b": "c d"}}, errors.Invalid, "a valid label must be an empty string or"),
        ({"name": "a", "labels": {"b": "c" * 64}}, errors.Invalid, "must be no more than 63 characters"),
        ({"name": "a", "annotations": {"b": "ü" * 140_000}}, errors.Invalid, "Too long: may not be more than 262144"),
        ({"name": "a", "ownerReferences": [{"name": "x"}]}, errors.Invalid, r"ownerReferences\[0\]\.uid: Required"),
        ({"name": "a", "finalizers": ["no slash!"]}, errors.Invalid, r"metadata\.finalizers: Invalid value"),
    ],
)
async def test_wrong_metadata_is_rejected_with_its_field(
    metadata: Object, rejection: type[errors.ApiError], message: str, tmp_path: Path
) -> None:
    async with opened(tmp_path) as api:
        obj = {**make.config_map(), "metadata": metadata}
        revision = api.store.revision
        with pytest.raises(rejection, match=message):
            await api.create(CONFIG_MAP, "default", obj, user=make.USER)

        assert api.store.revision == revision


async def test_all_wrong_fields_are_in_one_error(tmp_path: Path) -> None:
    async with opened(tmp_path) as api:
        with pytest.raises(errors.Invalid) as rejection:
            await given(api, SERVICE, make.service("Hello", labels={"b": "c d"}))

        status = rejection.value.status()
        assert [cause["field"] for cause in status["details"]["causes"]] == ["metadata.name", "metadata.labels"]
        assert status["message"].startswith('Service.serving.knative.dev "Hello" is invalid: [metadata.name: ')
        assert status["details"]["group"] == "serving.knative.dev"


async def test_two_controllers_of_one_object_are_rejected(tmp_path: Path) -> None:
    async with opened(tmp_path) as api:
        owners = [await given(api, CONFIG_MAP, make.config_map(name)) for name in "xy"]
        references = [{**make.owned_by(owner), "controller": True} for owner in owners]
        with pytest.raises(errors.Invalid, match="Only one reference can have Controller set to true"):
            await given(api, CONFIG_MAP, make.config_map(ownerReferences=references))


async def test_an_object_needs_its_namespace(tmp_path: Path) -> None:
    async with opened(tmp_path) as api:
        with pytest.raises(errors.NotFound, match='namespaces "nowhere" not found'):
            await given(api, CONFIG_MAP, make.config_map(namespace="nowhere"))


async def test_an_update_from_an_old_version_conflicts_and_changes_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as api:
        old = await given(api, CONFIG_MAP, make.config_map(data={"n": "1"}))
        new = await updated(api, CONFIG_MAP, {**old, "data": {"n": "2"}})
        with pytest.raises(errors.Conflict, match="the object has been modified; please apply your changes to the"):
            await updated(api, CONFIG_MAP, {**old, "data": {"n": "3"}})

        assert api.get(CONFIG_MAP, A) is new


async def test_an_update_without_a_version_overwrites(tmp_path: Path) -> None:
    async with opened(tmp_path) as api:
        await given(api, CONFIG_MAP, make.config_map(data={"n": "1"}))
        new = await updated(api, CONFIG_MAP, make.config_map(data={"n": "2"}))

        assert new["data"] == {"n": "2"}


async def test_an_update_that_changes_nothing_is_no_write(tmp_path: Path) -> None:
    async with opened(tmp_path) as api:
        stored = await given(api, SERVICE, make.service())
        again = await updated(api, SERVICE, make.service())

        assert again is stored


async def test_an_update_with_another_name_or_uid_is_rejected(tmp_path: Path) -> None:
    async with opened(tmp_path) as api:
        stored = await given(api, CONFIG_MAP, make.config_map())
        with pytest.raises(errors.BadRequest, match=r"name of the object \(b\) does not match the name on the URL \(a"):
            await api.update(CONFIG_MAP, A, make.config_map("b"), user=make.USER)
        with pytest.raises(errors.BadRequest, match="namespace of the provided object does not match"):
            await api.update(CONFIG_MAP, A, make.config_map("a", "other"), user=make.USER)
        with pytest.raises(errors.Conflict, match="Precondition failed: UID"):
            await updated(api, CONFIG_MAP, make.config_map(uid="another"))

        assert api.get(CONFIG_MAP, A) is stored


async def test_metadata_of_the_server_survives_every_update(tmp_path: Path) -> None:
    async with opened(tmp_path) as api:
        stored = await given(api, SERVICE, make.service())
        liar = make.service(creationTimestamp="1999-01-01T00:00:00Z", generation=99, labels={"a": "b"})
        new = await updated(api, SERVICE, liar)

        kept = ("uid", "creationTimestamp", "generation")
        assert {field: new["metadata"][field] for field in kept} == {field: stored["metadata"][field] for field in kept}
        assert new["metadata"]["labels"] == {"a": "b"}


async def test_the_generation_counts_changes_of_the_spec_only(tmp_path: Path) -> None:
    async with opened(tmp_path) as api:
        obj = await given(api, SERVICE, make.service())

        obj = await updated(api, SERVICE, {**obj, "metadata": {**obj["metadata"], "labels": {"a": "b"}}})
        assert obj["metadata"]["generation"] == 1
        obj = (
            await api.update(SERVICE, HELLO, {**obj, "status": {"x": 1}}, user=make.USER, options=make.STATUS)
        ).object
        assert obj["metadata"]["generation"] == 1
        obj = await updated(api, SERVICE, make.service(image="two"))
        assert obj["metadata"]["generation"] == 2


async def test_core_kinds_have_no_generation(tmp_path: Path) -> None:
    async with opened(tmp_path) as api:
        stored = await given(api, CONFIG_MAP, make.config_map())
        new = await updated(api, CONFIG_MAP, make.config_map(data={"n": "2"}))

        assert "generation" not in stored["metadata"]
        assert "generation" not in new["metadata"]


async def test_status_and_spec_are_written_separately(tmp_path: Path) -> None:
    async with opened(tmp_path) as api:
        stored = await given(api, SERVICE, {**make.service(), "status": {"url": "mine"}})
        assert "status" not in stored
        update = {**make.service(image="2"), "status": {"n": 1}}
        stored = (await api.update(SERVICE, HELLO, update, user=make.USER, options=make.STATUS)).object
        assert (stored["status"], stored["spec"]) == ({"n": 1}, make.service()["spec"])
        stored = await updated(api, SERVICE, {**make.service(image="3"), "status": {"n": 2}})

        assert (stored["status"], stored["spec"]) == ({"n": 1}, make.service(image="3")["spec"])


async def test_a_status_written_from_an_old_version_conflicts(tmp_path: Path) -> None:
    async with opened(tmp_path) as api:
        old = await given(api, SERVICE, make.service())
        await updated(api, SERVICE, make.service(image="two"))
        with pytest.raises(errors.Conflict):
            await api.update(SERVICE, HELLO, {**old, "status": {"n": 1}}, user=make.USER, options=make.STATUS)


async def test_a_new_pod_is_pending_and_a_new_namespace_active(tmp_path: Path) -> None:
    async with opened(tmp_path) as api:
        pod = await given(api, POD, {**make.pod(), "status": {"phase": "Running"}})
        namespace = await given(api, NAMESPACE, {"metadata": {"name": "team"}})

        assert pod["status"] == {"phase": "Pending"}
        assert namespace["status"] == {"phase": "Active"}
        assert namespace["metadata"]["labels"] == {"kubernetes.io/metadata.name": "team"}
        assert (namespace["kind"], namespace["apiVersion"]) == ("Namespace", "v1")


async def test_a_node_is_registered_with_its_status(tmp_path: Path) -> None:
    async with opened(tmp_path) as api:
        node = await given(api, NODE, {"metadata": {"name": "here"}, "status": {"phase": "x"}})

        assert node["status"] == {"phase": "x"}


async def test_the_string_data_of_a_secret_becomes_data(tmp_path: Path) -> None:
    async with opened(tmp_path) as api:
        stored = await given(api, SECRET, make.secret(data={"a": "YQ==", "b": "Yg=="}, stringData={"b": "ü"}))
        assert stored["data"] == {"a": "YQ==", "b": "w7w="}
        assert "stringData" not in stored
        stored = await updated(api, SECRET, make.secret(stringData={"c": "c"}))

        assert stored["data"] == {"c": "Yw=="}


async def test_dry_runs_answer_like_writes_and_change_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as api:
        made = (await api.create(SERVICE, "default", make.service("dry"), user=make.USER, dry_run=True)).object
        stored = await given(api, SERVICE, make.service())
        revision = api.store.revision
        changed = (
            await api.update(SERVICE, HELLO, make.service(image="two"), user=make.USER, options=make.DRY_RUN)
        ).object
        _, is_removed = await api.delete(SERVICE, HELLO, DeleteOptions(dry_run=True))

        assert made["metadata"]["uid"]
        assert changed["metadata"]["generation"] == 2
        assert is_removed
        assert api.get(SERVICE, HELLO) is stored
        assert api.store.revision == revision
        with pytest.raises(errors.AlreadyExists):
            await api.create(SERVICE, "default", make.service(), user=make.USER, dry_run=True)


async def test_a_patch_is_applied_to_the_newest_version_and_never_conflicts_by_accident(tmp_path: Path) -> None:
    def counted(obj: Object) -> Object:
        return {**obj, "data": {"n": str(int(obj["data"]["n"]) + 1)}}

    async with opened(tmp_path) as api:
        await given(api, CONFIG_MAP, make.config_map(data={"n": "0"}))
        await asyncio.gather(*(api.patch(CONFIG_MAP, A, counted, user=make.USER) for _ in range(25)))

        assert api.get(CONFIG_MAP, A)["data"] == {"n": "25"}


async def test_preconditions_of_a_deletion_are_kept(tmp_path: Path) -> None:
    async with opened(tmp_path) as api:
        stored = await given(api, CONFIG_MAP, make.config_map())
        for options in (DeleteOptions(uid="another"), DeleteOptions(resource_version="1")):
            with pytest.raises(errors.Conflict, match="Precondition failed"):
                await api.delete(CONFIG_MAP, A, options)
        metadata = stored["metadata"]
        _, is_removed = await api.delete(CONFIG_MAP, A, DeleteOptions(metadata["uid"], metadata["resourceVersion"]))

        assert is_removed
        with pytest.raises(errors.NotFound, match='configmaps "a" not found'):
            await api.delete(CONFIG_MAP, A)


async def test_a_finalizer_holds_an_object_until_it_is_removed(tmp_path: Path) -> None:
    async with opened(tmp_path) as api:
        stored = await given(api, SERVICE, make.service(finalizers=["tidegate.dev/x"]))
        marked, is_removed = await api.delete(SERVICE, HELLO)
        assert not is_removed
        assert marked["metadata"]["deletionTimestamp"]
        assert marked["metadata"]["generation"] == 2
        assert (await api.delete(SERVICE, HELLO))[0] is marked
        with pytest.raises(errors.Invalid, match="no new finalizers can be added if the object is being deleted"):
            more = {**marked["metadata"], "finalizers": ["tidegate.dev/x", "tidegate.dev/y"]}
            await updated(api, SERVICE, {**marked, "metadata": more})
        unmarked = make.service(finalizers=["tidegate.dev/x"])
        assert (await updated(api, SERVICE, unmarked))["metadata"]["deletionTimestamp"]

        last = await updated(api, SERVICE, make.service())

        assert last["metadata"]["uid"] == stored["metadata"]["uid"]
        assert not make.exists(api, SERVICE, "hello")


async def test_an_unbound_pod_is_removed_at_once_and_a_bound_one_after_its_grace(tmp_path: Path) -> None:
    clock = VirtualClock(wall=datetime(2026, 1, 1, tzinfo=UTC))
    async with opened(tmp_path, clock) as api:
        await given(api, POD, make.pod())
        assert (await api.delete(POD, A))[1]
        await given(api, POD, make.pod(node="here", grace=90))
        pod, is_removed = await api.delete(POD, A)
        assert not is_removed
        assert pod["metadata"]["deletionGracePeriodSeconds"] == 90
        assert pod["metadata"]["deletionTimestamp"] == "2026-01-01T00:01:30Z"
        pod, _ = await api.delete(POD, A, DeleteOptions(grace_seconds=5))
        assert pod["metadata"]["deletionTimestamp"] == "2026-01-01T00:00:05Z"
        pod, _ = await api.delete(POD, A, DeleteOptions(grace_seconds=60))
        assert pod["metadata"]["deletionGracePeriodSeconds"] == 5

        assert (await api.delete(POD, A, DeleteOptions(grace_seconds=0)))[1]


async def test_a_grace_period_is_limited(tmp_path: Path) -> None:
    async with opened(tmp_path) as api:
        await given(api, POD, make.pod(node="here", grace=2**62))
        pod, _ = await api.delete(POD, A)

        assert pod["metadata"]["deletionGracePeriodSeconds"] == 365 * 86400


async def test_a_pod_that_has_ended_needs_no_grace(tmp_path: Path) -> None:
    async with opened(tmp_path) as api:
        await given(api, POD, make.pod(node="here"))
        await api.patch(POD, A, lambda pod: {**pod, "status": {"phase": "Failed"}}, user=make.USER, options=make.STATUS)

        assert (await api.delete(POD, A))[1]


async def test_all_selected_objects_of_a_namespace_are_deleted(tmp_path: Path) -> None:
    async with opened(tmp_path) as api:
        await given(api, NAMESPACE, {"metadata": {"name": "other"}})
        for name in "abc":
            await given(api, CONFIG_MAP, make.config_map(name))
        await given(api, CONFIG_MAP, make.config_map("a", "other"))
        is_removed = await api.delete_all(CONFIG_MAP, "default", None, DeleteOptions())

        assert [obj["metadata"]["name"] for obj in is_removed] == ["a", "b", "c"]
        assert len(api.list(CONFIG_MAP).items) == 1


async def test_the_initial_namespaces_cannot_be_deleted(tmp_path: Path) -> None:
    async with opened(tmp_path) as api:
        with pytest.raises(errors.Forbidden, match='namespaces "default" is forbidden: this namespace may not be'):
            await api.delete(NAMESPACE, Key("", "default"))


async def test_a_too_large_object_is_rejected(tmp_path: Path) -> None:
    async with opened(tmp_path) as api:
        await given(api, CONFIG_MAP, make.config_map("fits", data={"x": "x" * 1_500_000}))
        with pytest.raises(errors.TooLarge, match=r"the object is too large: 1600\d{3} bytes, the limit is 1572864"):
            await given(api, CONFIG_MAP, make.config_map("large", data={"x": "x" * 1_600_000}))

        assert not make.exists(api, CONFIG_MAP, "large")


async def test_objects_survive_a_restart(tmp_path: Path) -> None:
    async with opened(tmp_path) as api:
        stored = await given(api, SERVICE, make.service())
    async with opened(tmp_path) as api:
        assert api.get(SERVICE, HELLO) == stored
        assert (await updated(api, SERVICE, make.service(image="two")))["metadata"]["generation"] == 2
