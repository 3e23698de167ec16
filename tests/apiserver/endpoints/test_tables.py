# SPDX-License-Identifier: Apache-2.0
"""The tables that `kubectl get` prints."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from harness.apiserver import served
from tests.apiserver import make
from tidegate.apiserver.endpoints import views
from tidegate.model import errors, kinds, names
from tidegate.model.columns import human_duration
from tidegate.model.groups import BUILT_IN_SCHEME
from tidegate.model.kinds import Kind
from tidegate.model.objects import Object
from tidegate.model.text import jsonpath

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
CREATED = "2026-01-01T11:55:00Z"
TABLE = {"accept": "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"}


def row(kind: Kind, obj: Object, *, wide: bool = False) -> dict[str, Any]:
    """The cells of an object by the names of their columns."""
    columns = [column for column in BUILT_IN_SCHEME[kind].columns if wide or not column.priority]
    return {column.name: column.cell(obj, NOW) for column in columns}


def ready(status: str, reason: str = "") -> Object:
    return {"conditions": [{"type": "Ready", "status": status, **({"reason": reason} if reason else {})}]}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "0s"), (0, "0s"), (119, "119s"), (120, "2m"), (125, "2m5s"), (600, "10m"), (10_799, "179m"), (10_800, "3h"),
     (11_000, "3h3m"), (28_800, "8h"), (172_799, "47h"), (172_800, "2d"), (180_000, "2d2h"), (691_200, "8d"),
     (63_072_000, "2y"), (70_000_000, "2y80d"), (300_000_000, "9y")],
)  # fmt: skip
def test_an_age_is_written_like_kubectl_writes_it(seconds: int, text: str) -> None:
    assert human_duration(timedelta(seconds=seconds)) == text


def test_knative_kinds_have_the_columns_of_their_definitions() -> None:
    service = make.service()
    service["status"] = {"url": "http://x", "latestCreatedRevisionName": "a-2", "latestReadyRevisionName": "a-1"}
    service["status"] |= ready("False", "RevisionFailed")

    assert row(kinds.SERVICE, service) == {
        "Name": "hello", "URL": "http://x", "LatestCreated": "a-2", "LatestReady": "a-1", "Ready": "False",
        "Reason": "RevisionFailed",
    }  # fmt: skip
    revision = {
        "metadata": {"name": "a-1", "labels": {"serving.knative.dev/configuration": "a"}},
        "status": {"actualReplicas": 2, "desiredReplicas": "odd"},
    }
    assert row(kinds.REVISION, revision) == {
        "Name": "a-1", "Config Name": "a", "Generation": None, "Ready": None, "Reason": None, "Actual Replicas": 2,
        "Desired Replicas": None,
    }  # fmt: skip


def container(state: Object, *, is_ready: bool = False, restarts: int = 0, **more: Any) -> Object:
    return {"name": "main", "ready": is_ready, "restartCount": restarts, "state": state, **more}


@pytest.mark.parametrize(
    ("status", "shown"),
    [
        ({"phase": "Pending"}, ("0/1", "Pending", "0")),
        (
            {"phase": "Running", "containerStatuses": [container({"running": {}}, is_ready=True)]},
            ("1/1", "Running", "0"),
        ),
        (
            {
                "phase": "Running",
                "containerStatuses": [
                    container(
                        {"waiting": {"reason": "CrashLoopBackOff"}},
                        restarts=3,
                        lastState={"terminated": {"finishedAt": "2026-01-01T11:59:30Z"}},
                    )
                ],
            },
            ("0/1", "CrashLoopBackOff", "3 (30s ago)"),
        ),
        (
            {"phase": "Failed", "containerStatuses": [container({"terminated": {"exitCode": 7}})]},
            ("0/1", "ExitCode:7", "0"),
        ),
        (
            {"phase": "Failed", "containerStatuses": [container({"terminated": {"signal": 9, "exitCode": 137}})]},
            ("0/1", "Signal:9", "0"),
        ),
        ({"phase": "Failed", "reason": "Evicted"}, ("0/1", "Evicted", "0")),
        ({}, ("0/1", "Unknown", "0")),
    ],
)
def test_a_pod_shows_the_state_of_its_containers(status: Object, shown: tuple[str, str, str]) -> None:
    cells = row(kinds.POD, {**make.pod(creationTimestamp=CREATED), "status": status})

    assert (cells["Ready"], cells["Status"], cells["Restarts"], cells["Age"]) == (*shown, "5m")


@pytest.mark.parametrize(
    ("first", "second", "shown"),
    [
        ({"running": {}}, {"waiting": {"reason": "PodInitializing"}}, "Init:0/2"),
        ({"terminated": {"exitCode": 0}}, {"waiting": {"reason": "PodInitializing"}}, "Init:1/2"),
        ({"terminated": {"exitCode": 0}}, {"waiting": {"reason": "CrashLoopBackOff"}}, "Init:CrashLoopBackOff"),
        ({"terminated": {"exitCode": 3}}, {"waiting": {"reason": "PodInitializing"}}, "Init:ExitCode:3"),
        ({"terminated": {"exitCode": 0}}, {"terminated": {"exitCode": 0}}, "PodInitializing"),
    ],
)
def test_a_pod_shows_how_far_its_init_containers_are(first: Object, second: Object, shown: str) -> None:
    pod = make.pod(creationTimestamp=CREATED)
    pod["spec"]["initContainers"] = [{"name": "first"}, {"name": "second"}]
    pod["status"] = {
        "phase": "Pending",
        "initContainerStatuses": [{"name": "first", "state": first}, {"name": "second", "state": second}],
        "containerStatuses": [container({"waiting": {"reason": "PodInitializing"}})],
    }

    assert row(kinds.POD, pod)["Status"] == shown


def test_a_pod_whose_containers_only_wait_for_their_start_is_prepared() -> None:
    pod = make.pod(creationTimestamp=CREATED, labels={names.PREPARED: "true"})
    pod["status"] = {
        "phase": "Pending",
        "conditions": [{"type": names.PREPARED_STATE, "status": "True"}],
        "containerStatuses": [container({"waiting": {"reason": "ContainerCreating"}})],
    }

    assert row(kinds.POD, pod)["Status"] == "Prepared"


def test_a_pod_that_is_being_deleted_is_terminating() -> None:
    pod = make.pod(deletionTimestamp=CREATED, node="here")
    pod["status"] = {"phase": "Running", "podIP": "127.0.0.1"}
    cells = row(kinds.POD, pod, wide=True)

    assert (cells["Status"], cells["IP"], cells["Node"], cells["Nominated Node"]) == (
        "Terminating", "127.0.0.1", "here", "<none>"
    )  # fmt: skip
    assert cells["Age"] == "<unknown>"


def test_core_kinds_show_what_kubernetes_prints() -> None:
    namespace = {"metadata": {"name": "a", "creationTimestamp": CREATED}, "status": {"phase": "Active"}}
    assert row(kinds.NAMESPACE, namespace) == {"Name": "a", "Status": "Active", "Age": "5m"}
    assert row(kinds.CONFIG_MAP, make.config_map(data={"a": "1"}) | {"binaryData": {"b": ""}})["Data"] == 2
    assert row(kinds.SECRET, make.secret(data={"a": "YQ=="}))["Type"] == "Opaque"
    node = {
        "metadata": {"name": "here", "labels": {"node-role.kubernetes.io/worker": ""}},
        "status": {**ready("True"), "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}]},
    }
    cells = row(kinds.NODE, node, wide=True)
    assert (cells["Status"], cells["Roles"], cells["Internal-IP"]) == ("Ready", "worker", "127.0.0.1")
    assert row(kinds.NODE, {"metadata": {"name": "x"}, "spec": {"unschedulable": True}})["Status"] == (
        "Unknown,SchedulingDisabled"
    )


def test_an_event_shows_its_time_reason_and_object() -> None:
    event = {
        "metadata": {"name": "e", "creationTimestamp": CREATED},
        "type": "Warning", "reason": "Failed", "message": " it did\n", "count": 3,
        "involvedObject": {"kind": "Pod", "name": "a"},
        "lastTimestamp": "2026-01-01T11:59:00Z", "firstTimestamp": CREATED,
        "source": {"component": "node", "host": "h"},
    }  # fmt: skip
    assert row(kinds.EVENT, event, wide=True) == {
        "Last Seen": "60s", "Type": "Warning", "Reason": "Failed", "Object": "pod/a", "Subobject": "",
        "Source": "node, h", "Message": "it did", "First Seen": "5m", "Count": "3", "Name": "e",
    }  # fmt: skip


@pytest.mark.parametrize("kind", kinds.BUILT_IN_KINDS)
def test_every_kind_has_a_row_even_for_an_empty_object(kind: Kind) -> None:
    cells = row(kind, {"metadata": {"name": "a"}}, wide=True)

    assert cells["Name"] == "a"


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (".a.b", 1),
        (".a['c/d']", 2),
        ('.a["c/d"]', 2),
        (".list[0].x", "first"),
        (".list[-1].x", "last"),
        (".list[5].x", None),
        (".list[?(@.type=='B')].x", "last"),
        (".list[?(@.type=='C')].x", None),
        (".a.list", None),
        (".nothing.at.all", None),
    ],
)
def test_a_json_path_finds_or_finds_nothing(path: str, found: object) -> None:
    value = {"a": {"b": 1, "c/d": 2}, "list": [{"type": "A", "x": "first"}, {"type": "B", "x": "last"}]}

    assert jsonpath.compiled(path)(value) == found


@pytest.mark.parametrize("path", ["a", ".a[", ".a[*]", ".a..b", ".a[?(@.x>1)]"])
def test_an_unsupported_json_path_is_rejected(path: str) -> None:
    with pytest.raises(ValueError, match="not a JSONPath of a printer column"):
        jsonpath.compiled(path)


@pytest.mark.parametrize(
    ("include", "carried"),
    [("", "PartialObjectMetadata"), ("Metadata", "PartialObjectMetadata"), ("Object", "ConfigMap"), ("None", None)],
)
def test_a_row_carries_the_requested_part_of_its_object(include: str, carried: str | None) -> None:
    view = views.chosen(BUILT_IN_SCHEME[kinds.CONFIG_MAP], TABLE["accept"], include, lambda: NOW)
    (shown,) = view.one(make.config_map())["rows"]

    assert (shown["object"] and shown["object"]["kind"]) == carried


def test_a_request_for_another_part_of_the_object_is_rejected() -> None:
    with pytest.raises(errors.BadRequest, match="includeObject"):
        views.chosen(BUILT_IN_SCHEME[kinds.CONFIG_MAP], TABLE["accept"], "All", lambda: NOW)


async def test_a_table_is_answered_for_one_object_for_many_and_for_none(tmp_path: Path) -> None:
    async with served(tmp_path) as server, server.client(**TABLE) as client:
        path = "/apis/serving.knative.dev/v1/namespaces/default/services"
        empty = (await client.get(path)).json()
        assert (empty["kind"], empty["rows"], len(empty["columnDefinitions"])) == ("Table", [], 6)
        await client.post(path, json=make.service())
        many = (await client.get(path)).json()
        one = (await client.get(f"{path}/hello")).json()
        assert [row["cells"][0] for row in many["rows"]] == ["hello"] == [row["cells"][0] for row in one["rows"]]
        assert one["metadata"]["resourceVersion"] == one["rows"][0]["object"]["metadata"]["resourceVersion"]
