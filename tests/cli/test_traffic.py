# SPDX-License-Identifier: Apache-2.0
"""`tidegate traffic`: meaning of its arguments, the new split and rejected arguments."""

import subprocess
import sys
from typing import Any

import pytest

from tests.cli.world import World, revision, service
from tidegate.cli.failures import CommandFailure
from tidegate.cli.traffic_split import LATEST, desired_traffic, resolved
from tidegate.model import kinds, names
from tidegate.model.objects import annotations

WRONG = {names.MIRROR: "missing=10"}
REVISIONS = ["hello-00001", "hello-00002", "hello-green"]


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("@latest", LATEST),
        ("hello-00001", "hello-00001"),
        ("00001", "hello-00001"),
        ("2", "hello-00002"),
        ("green", "hello-green"),
    ],
)
def test_a_word_names_a_revision(word: str, name: str) -> None:
    assert resolved("hello", word, REVISIONS) == name


def test_an_unknown_revision_is_answered_with_the_existing_ones() -> None:
    with pytest.raises(CommandFailure, match="hello has no revision 3; it has hello-00001, hello-00002, hello-green"):
        resolved("hello", "3", REVISIONS)


def to(revision: str, percent: int, **tag: str) -> dict[str, Any]:
    return {"revisionName": revision, "latestRevision": False, "percent": percent, **tag}


def latest(percent: int, **tag: str) -> dict[str, Any]:
    return {"latestRevision": True, "percent": percent, **tag}


@pytest.mark.parametrize(
    ("current", "percents", "tags", "untag", "wanted"),
    [
        ([], {"a": 90, "b": 10}, {}, (), [to("a", 90), to("b", 10)]),
        ([to("a", 100)], {LATEST: 100}, {}, (), [latest(100)]),
        ([], {}, {"canary": "b"}, (), [latest(100), to("b", 0, tag="canary")]),
        ([to("a", 100, tag="old")], {"b": 100, "a": 0}, {}, (), [to("b", 100), to("a", 0, tag="old")]),
        ([to("a", 100, tag="x")], {}, {"x": "b"}, (), [to("a", 100), to("b", 0, tag="x")]),
        ([to("a", 100)], {}, {"x": "a", "y": "a"}, (), [to("a", 100, tag="x"), to("a", 0, tag="y")]),
        ([to("a", 100, tag="x"), to("b", 0, tag="y")], {}, {}, ("x", "y"), [to("a", 100)]),
        ([to("a", 40), to("a", 60)], {}, {"x": "a"}, (), [to("a", 100, tag="x")]),
    ],
)
def test_the_split_becomes_the_requested_one_and_tags_stay(
    current: Any, percents: Any, tags: Any, untag: Any, wanted: Any
) -> None:
    assert desired_traffic(current, percents, tags, untag) == wanted


def test_traffic_writes_the_split_and_shows_it(tidegate: World) -> None:
    tidegate.given(kinds.SERVICE, service("hello"))
    for name in ("hello-00001", "hello-00002"):
        tidegate.given(kinds.REVISION, revision("hello", name))

    out = tidegate.ok("traffic", "hello", "1=90", "hello-00002=10", "--tag", "2=canary", "--no-wait")

    assert tidegate.get(kinds.SERVICE, "hello")["spec"]["traffic"] == [
        to("hello-00001", 90),
        to("hello-00002", 10, tag="canary"),
    ]
    assert [line.split() for line in out.splitlines()] == [
        ["REVISION", "PERCENT", "TAG", "URL"],
        ["hello-00001", "90%"],
        ["hello-00002", "10%", "canary"],
    ]
    assert tidegate.ok("traffic", "hello") == out


def test_a_service_that_does_not_become_ready_is_a_failure(tidegate: World) -> None:
    tidegate.given(kinds.SERVICE, service("stuck"))
    tidegate.given(kinds.REVISION, revision("stuck", "stuck-00001"))

    answer = tidegate.run("traffic", "stuck", "1=100", "--timeout", "0.1")

    assert (answer.code, answer.out) == (1, "")
    assert answer.err.splitlines() == [
        "stuck: waiting for the control plane to see the change",
        "error: stuck is not ready after 0.1 s: waiting for the control plane to see the change",
    ]


def test_invalid_arguments_of_traffic_are_one_line_and_change_nothing(tidegate: World) -> None:
    tidegate.given(kinds.SERVICE, service("kept"))
    tidegate.given(kinds.REVISION, revision("kept", "kept-00001"))

    assert tidegate.fails("traffic", "kept", "1=90", code=2) == "the shares must add up to 100, these are 90"
    assert tidegate.fails("traffic", "kept", "1=90", "2=10") == "kept has no revision 2; it has kept-00001"
    assert tidegate.fails("traffic", "kept", "--untag", "missing") == "there is no tag missing"
    assert tidegate.fails("traffic", "absent") == 'services.serving.knative.dev "absent" not found'
    assert tidegate.fails("traffic", "kept", "1", code=2) == '"1" is not REVISION=PERCENT'
    assert tidegate.fails("traffic", "kept", "1=1e2", code=2) == '"1=1e2": a share is a whole number from 0 to 100'
    assert tidegate.fails("traffic", "kept", "1=-1", code=2) == '"1=-1": a share is a whole number from 0 to 100'
    assert tidegate.fails("traffic", "kept", "--tag", "canary", code=2) == '"canary" is not REVISION=TAG'
    assert "traffic" not in tidegate.get(kinds.SERVICE, "kept")["spec"]


def test_traffic_starts_shows_and_stops_mirroring(tidegate: World) -> None:
    tidegate.given(kinds.SERVICE, service("copied"))
    for name in ("copied-00001", "copied-00002"):
        tidegate.given(kinds.REVISION, revision("copied", name))

    tidegate.ok("traffic", "copied", "1=100", "--tag", "2=next", "--mirror", "next=10", "--mirror", "1=5", "--no-wait")
    both = tidegate.get(kinds.SERVICE, "copied")
    out = tidegate.ok("traffic", "copied", "--mirror", "1=0", "--no-wait")
    one = tidegate.get(kinds.SERVICE, "copied")
    tidegate.ok("traffic", "copied", "--mirror", "next=0", "--no-wait")

    assert annotations(both)[names.MIRROR] == "next=10,copied-00001=5"
    assert annotations(one)[names.MIRROR] == "next=10"
    assert one["spec"] == both["spec"]
    assert out.splitlines()[-1].split() == ["next", "10%", "mirrored"]
    assert names.MIRROR not in annotations(tidegate.get(kinds.SERVICE, "copied"))
    wrong = service("wrong")
    tidegate.given(kinds.SERVICE, {**wrong, "metadata": {**wrong["metadata"], "annotations": WRONG}})
    tidegate.ok("traffic", "wrong", "--mirror", "missing=0")
    assert names.MIRROR not in annotations(tidegate.get(kinds.SERVICE, "wrong"))
    assert tidegate.fails("traffic", "copied", "--mirror", "3=1") == (
        "copied has no revision 3; it has copied-00001, copied-00002"
    )


def test_a_timeout_of_traffic_reports_the_reason_alone(tidegate: World) -> None:
    tidegate.given(kinds.SERVICE, service("followed"))
    tidegate.given(kinds.REVISION, revision("followed", "followed-00001"))
    command = [sys.executable, "-m", "tidegate", "traffic", "followed", "1=100", f"--data-dir={tidegate.home}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        first = process.stderr.readline()
        in_force = {"observedGeneration": 2, "conditions": [{"type": "RoutesReady", "status": "True"}]}
        tidegate.patch(kinds.SERVICE, "followed", {"status": in_force}, status=True)
        rest = process.stderr.read()

    assert process.returncode == 0
    assert (first, rest) == ("followed: waiting for the control plane to see the change\n", "")
