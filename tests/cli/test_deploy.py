# SPDX-License-Identifier: Apache-2.0
"""`tidegate deploy`: changes of a Service, fields that stay, and messages of failures."""

import signal
import subprocess
import sys
from typing import Any

import pytest

from harness.apiserver import cluster_of, opened
from tests.cli.world import World, pod, revision, service
from tidegate.cli import connection, deployment, examples
from tidegate.cli.deployment import ServiceChange, desired_template
from tidegate.model import kinds
from tidegate.model.objects import Key
from tidegate.model.registry.patches import merge

IMAGE = "tidegate.dev/bundle/hello@sha256:1"


def container(**fields: Any) -> dict[str, Any]:
    return {"metadata": {}, "spec": {"containers": [{"image": IMAGE, **fields}]}}


@pytest.mark.parametrize(
    ("current", "wanted", "template"),
    [
        ({}, ServiceChange(IMAGE), container()),
        ({}, ServiceChange(IMAGE, {"A": "1"}), container(env=[{"name": "A", "value": "1"}])),
        (
            container(env=[{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]),
            ServiceChange(IMAGE, {"A": "new"}),
            container(env=[{"name": "B", "value": "2"}, {"name": "A", "value": "new"}]),
        ),
        (
            {"spec": {"containers": [{"image": "old", "name": "web", "command": ["run"]}]}},
            ServiceChange(IMAGE),
            container(name="web", command=["run"]),
        ),
        (
            container(env=[{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]),
            ServiceChange(IMAGE, {"A": None}),
            container(env=[{"name": "B", "value": "2"}]),
        ),
        (container(env=[{"name": "A", "value": "1"}]), ServiceChange(IMAGE, {"A": None, "B": None}), container()),
        (
            {"metadata": {"annotations": {"old": "1"}}},
            ServiceChange(IMAGE, annotations={"old": None}),
            {"metadata": {"annotations": {"old": None}}, "spec": {"containers": [{"image": IMAGE}]}},
        ),
        (
            {"metadata": {"name": "hello-blue", "annotations": {"kept": "yes"}}},
            ServiceChange(IMAGE, annotations={"new": "1"}),
            {"metadata": {"name": None, "annotations": {"new": "1"}}, "spec": {"containers": [{"image": IMAGE}]}},
        ),
    ],
)
def test_the_template_has_the_changes_and_keeps_the_rest(current: Any, wanted: ServiceChange, template: Any) -> None:
    assert desired_template(current, wanted) == template


def test_the_port_keeps_its_name_and_empty_words_remove_a_field() -> None:
    current = container(ports=[{"name": "h2c", "containerPort": 80}], command=["a"], args=["b"])
    current["spec"]["imagePullSecrets"] = [{"name": "login"}]

    made = desired_template(current, ServiceChange(IMAGE, port=81, command=[], arguments=["c"], pull_secret=""))

    expected = container(ports=[{"name": "h2c", "containerPort": 81}], args=["c"])
    expected["spec"]["imagePullSecrets"] = None
    assert made == expected


def test_concurrency_is_the_revision_s_own_field() -> None:
    assert desired_template({}, ServiceChange(IMAGE, concurrency=3))["spec"]["containerConcurrency"] == 3


async def test_a_service_is_created_then_changed_and_its_traffic_stays(tmp_path: Any) -> None:
    pinned = [{"revisionName": "hello-00001", "latestRevision": False, "percent": 100}]
    async with opened(tmp_path) as api:
        cluster: Any = cluster_of(api, "tester")
        key = Key("default", "hello")
        created = await deployment.put(cluster, key, await deployment.find(cluster, key), ServiceChange(IMAGE))
        before = await cluster.patch(kinds.SERVICE, key, {"spec": {"traffic": pinned}})

        changed = await deployment.put(cluster, key, before, ServiceChange(IMAGE, {"A": "1"}))
        same = await deployment.put(cluster, key, changed, ServiceChange(IMAGE, {"A": "1"}))

    assert created["spec"]["template"]["spec"]["containers"] == [{"image": IMAGE}]
    assert changed["spec"] == {
        **merge(created["spec"], {"template": container(env=[{"name": "A", "value": "1"}])}),
        "traffic": pinned,
    }
    assert same == changed


def test_the_last_lines_are_from_the_newest_revision(tidegate: World) -> None:
    tidegate.given(kinds.SERVICE, service("broken"))
    failed = tidegate.patch(
        kinds.SERVICE, "broken", {"status": {"latestCreatedRevisionName": "broken-00002"}}, status=True
    )
    for number in (1, 2):
        tidegate.given(kinds.POD, pod("broken", f"broken-0000{number}-x", revision=f"broken-0000{number}"))

    async def words() -> list[str]:
        async with connection.connected(tidegate.home) as cluster:
            return await deployment.last_lines(cluster, failed)

    assert connection.run(words()) == ["broken-00002-x user-container tail=10"]


def test_invalid_arguments_of_deploy_are_one_line(tidegate: World) -> None:
    assert tidegate.fails("deploy", ".", "--name", "x", "--env", "A", code=2) == '"A" is neither NAME=VALUE nor NAME-'
    assert tidegate.fails("deploy", ".", code=2) == "Missing option '--name'."
    assert tidegate.fails("deploy", code=2) == "Missing argument 'DIR', or option '--image'."
    assert tidegate.fails("deploy", "--image", "Nope!", code=2).startswith('--image: "Nope!": invalid reference format')
    assert "two names" in tidegate.fails("deploy", "a", "--image", "nginx", "--name", "b", code=2)
    assert tidegate.fails("deploy", "--image", "nginx", "--command", "'", code=2).startswith("--command: ")


@pytest.mark.parametrize(
    ("given", "name", "image"),
    [
        (["--image", "ghcr.io/me/my_app:v1"], "my-app", "ghcr.io/me/my_app:v1"),
        (["web", "--image", "nginx"], "web", "nginx"),
        (["--image", "nginx", "--name", "web"], "web", "nginx"),
    ],
)
def test_an_image_becomes_a_service_of_its_name(tidegate: World, given: list[str], name: str, image: str) -> None:
    options = ["--port", "80", "--command", "sh -c 'echo $A'", "--args", "", "--pull-secret", "login", "--env", "A=1"]

    answer = tidegate.run("deploy", *given, *options, "--no-wait")

    assert answer.code == 0
    spec = tidegate.get(kinds.SERVICE, name)["spec"]["template"]["spec"]
    (made,) = spec["containers"]
    assert (made["image"], made["ports"][0]["containerPort"]) == (image, 80)
    assert made["command"] == ["sh", "-c", "echo $A"]
    assert "args" not in made
    assert spec["imagePullSecrets"] == [{"name": "login"}]


@pytest.mark.parametrize("name", ["Hello_World", "hé", "1st", "a.b", "end-", "x" * 64, ""])
def test_an_invalid_service_name_is_refused_before_the_build(tidegate: World, name: str) -> None:
    message = tidegate.fails("deploy", str(examples.folder("hello")), "--name", name, code=2)

    assert message.startswith(f'--name: "{name}" is not a name for a service: ')
    assert not (tidegate.home / "bundles").exists()


def test_a_deploy_without_wait_prints_no_empty_line_instead_of_a_url(tidegate: World) -> None:
    answer = tidegate.run("deploy", str(examples.folder("hello")), "--name", "later", "--no-wait")

    assert (answer.code, answer.out) == (0, "")
    assert answer.err.splitlines()[-1] == "later will become ready in the background: see `tidegate status`"


def split(*targets: tuple[str, int]) -> dict[str, Any]:
    """A Service whose newest revision is hello-00002, with this traffic: revisions and percents."""
    traffic = [{"revisionName": name, "percent": percent} for name, percent in targets]
    return {**service("hello"), "status": {"latestCreatedRevisionName": "hello-00002", "traffic": traffic}}


@pytest.mark.parametrize(
    ("targets", "line"),
    [
        ([("hello-00002", 100)], "revision hello-00002, 100 % of traffic"),
        ([("hello-00001", 90), ("hello-00002", 4), ("hello-00002", 6)], "revision hello-00002, 10 % of traffic"),
        (
            [("hello-00001", 100), ("hello-00002", 0)],
            "revision hello-00002 gets 0 % of traffic, which is pinned to hello-00001 (100 %); "
            "move it with `tidegate traffic hello hello-00002=100`",
        ),
    ],
)
def test_a_deploy_names_its_revision_and_its_share_of_the_traffic(targets: list[tuple[str, int]], line: str) -> None:
    assert deployment.traffic_share(split(*targets)) == line


@pytest.mark.parametrize("text", ["A", "", "=1", "-"])
def test_an_option_that_neither_sets_nor_removes_is_refused(tidegate: World, text: str) -> None:
    for option in ("--env", "--annotation"):
        message = tidegate.fails("deploy", ".", "--name", "x", option, text, code=2)
        assert message == f'"{text}" is neither NAME=VALUE nor NAME-'


def interrupted(tidegate: World, *arguments: str, at: str) -> tuple[int, str]:
    """Exit code and last line of a command that gets Ctrl-C after it has printed `at`."""
    command = [sys.executable, "-m", "tidegate", *arguments, f"--data-dir={tidegate.home}"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        lines = iter(process.stderr.readline, "")
        assert any(at in line for line in lines)
        process.send_signal(signal.SIGINT)
        *_, last = lines
    return process.returncode, last.rstrip()


def test_ctrl_c_reports_the_remaining_state(tidegate: World) -> None:
    deploy = ["deploy", str(examples.folder("hello")), "--name", "halfway"]
    waiting = "halfway: waiting for the control plane to see the change"

    assert interrupted(tidegate, *deploy, at=waiting) == (
        130,
        "interrupted: the service halfway was created and is still starting; "
        "remove it with `tidegate delete ksvc halfway`",
    )
    assert interrupted(tidegate, *deploy, "--env", "A=1", at=waiting) == (
        130,
        "interrupted: the service halfway was changed and its new revision is still starting: see `tidegate status`",
    )
    tidegate.given(kinds.REVISION, revision("halfway", "halfway-00001"))
    assert interrupted(tidegate, "traffic", "halfway", "1=100", at=waiting) == (
        130,
        "interrupted: the new split of halfway was written and will take effect: see `tidegate traffic halfway`",
    )
