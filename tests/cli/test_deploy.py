# SPDX-License-Identifier: Apache-2.0
"""`tidegate deploy`: what a Service becomes, what is kept of it, and what is told when it fails."""

from typing import Any

import pytest

from tests.apiserver.world import opened
from tests.cli.world import World, pod, service
from tidegate.apiserver.patches import merge
from tidegate.cli import connection
from tidegate.cli.commands import deploying
from tidegate.cli.commands.deploying import Wanted, desired_template
from tidegate.model import kinds
from tidegate.model.objects import Key

IMAGE = "tidegate.dev/bundle/hello@sha256:1"


def container(**fields: Any) -> dict[str, Any]:
    return {"metadata": {}, "spec": {"containers": [{"image": IMAGE, **fields}]}}


@pytest.mark.parametrize(
    ("current", "wanted", "template"),
    [
        ({}, Wanted(IMAGE), container()),
        ({}, Wanted(IMAGE, {"A": "1"}), container(env=[{"name": "A", "value": "1"}])),
        (
            container(env=[{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]),
            Wanted(IMAGE, {"A": "new"}),
            container(env=[{"name": "B", "value": "2"}, {"name": "A", "value": "new"}]),
        ),
        (
            {"spec": {"containers": [{"image": "old", "name": "web", "command": ["run"]}]}},
            Wanted(IMAGE),
            container(name="web", command=["run"]),
        ),
        (
            {"metadata": {"name": "hello-blue", "annotations": {"kept": "yes"}}},
            Wanted(IMAGE, annotations={"new": "1"}),
            {"metadata": {"name": None, "annotations": {"new": "1"}}, "spec": {"containers": [{"image": IMAGE}]}},
        ),
    ],
)
def test_the_template_names_what_is_asked_and_keeps_the_rest(current: Any, wanted: Wanted, template: Any) -> None:
    assert desired_template(current, wanted) == template


def test_concurrency_is_the_revision_s_own_field() -> None:
    assert desired_template({}, Wanted(IMAGE, concurrency=3))["spec"]["containerConcurrency"] == 3


async def test_a_service_is_created_then_changed_and_its_traffic_stays(tmp_path: Any) -> None:
    pinned = [{"revisionName": "hello-00001", "latestRevision": False, "percent": 100}]
    async with opened(tmp_path) as api:
        cluster: Any = api.as_user("tester")
        created = await deploying.put(cluster, Key("default", "hello"), Wanted(IMAGE))
        await cluster.patch(kinds.SERVICE, Key("default", "hello"), {"spec": {"traffic": pinned}})

        changed = await deploying.put(cluster, Key("default", "hello"), Wanted(IMAGE, {"A": "1"}))
        same = await deploying.put(cluster, Key("default", "hello"), Wanted(IMAGE, {"A": "1"}))

    assert created["spec"]["template"]["spec"]["containers"] == [{"image": IMAGE}]
    assert changed["spec"] == {
        **merge(created["spec"], {"template": container(env=[{"name": "A", "value": "1"}])}),
        "traffic": pinned,
    }
    assert same == changed


def test_the_last_words_are_those_of_the_newest_revision(tidegate: World) -> None:
    tidegate.given(kinds.SERVICE, service("broken"))
    failed = tidegate.patch(
        kinds.SERVICE, "broken", {"status": {"latestCreatedRevisionName": "broken-00002"}}, status=True
    )
    for number in (1, 2):
        tidegate.given(kinds.POD, pod("broken", f"broken-0000{number}-x", revision=f"broken-0000{number}"))

    async def words() -> list[str]:
        async with connection.connected(tidegate.home) as cluster:
            return await deploying.last_words(cluster, failed)

    assert connection.run(words()) == ["broken-00002-x user-container tail=10"]


def test_what_cannot_be_meant_is_one_line(tidegate: World) -> None:
    assert tidegate.fails("deploy", ".", "--name", "x", "--env", "A", code=2) == '"A" is not NAME=VALUE'
    assert tidegate.fails("deploy", ".", code=2) == "Missing option '--name'."
