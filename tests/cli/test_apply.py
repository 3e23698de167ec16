# SPDX-License-Identifier: Apache-2.0
"""`tidegate apply`: changes of objects, output and rejected manifests."""

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.cli.world import World, config_map, invoke, service
from tidegate.model import kinds
from tidegate.model.objects import Object


def documents(*objects: Object) -> str:
    return "---\n" + "\n---\n".join(yaml.safe_dump(obj) for obj in objects)


def test_apply_creates_then_changes_then_reports_unchanged(tidegate: World) -> None:
    first, second = config_map("a", {"one": "1", "two": "2"}), config_map("a", {"one": "changed"})

    assert tidegate.ok("apply", "-f", "-", stdin=documents(first)) == "configmap/a created\n"
    tidegate.patch(kinds.CONFIG_MAP, "a", {"data": {"theirs": "kept"}})
    assert tidegate.ok("apply", "-f", "-", stdin=documents(second)) == "configmap/a configured\n"
    assert tidegate.ok("apply", "-f", "-", stdin=documents(second)) == "configmap/a unchanged\n"

    assert tidegate.get(kinds.CONFIG_MAP, "a")["data"] == {"one": "changed", "theirs": "kept"}


def test_apply_continues_from_the_state_that_kubectl_applied(tidegate: World) -> None:
    before = config_map("by-kubectl", {"removed": "1"}, namespace="default")
    record = {"kubectl.kubernetes.io/last-applied-configuration": json.dumps(before) + "\n"}
    tidegate.given(kinds.CONFIG_MAP, {**before, "metadata": {**before["metadata"], "annotations": record}})

    tidegate.ok("apply", "-f", "-", stdin=documents(config_map("by-kubectl", {"new": "2"})))

    assert tidegate.get(kinds.CONFIG_MAP, "by-kubectl")["data"] == {"new": "2"}


def test_services_are_printed_with_their_group(tidegate: World) -> None:
    assert (
        tidegate.ok("apply", "-f", "-", stdin=documents(service("hello")))
        == "service.serving.knative.dev/hello created\n"
    )


def test_folders_lists_and_several_documents_are_applied_in_order(tidegate: World, tmp_path: Path) -> None:
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"}}
    (tmp_path / "1.yaml").write_text(documents(namespace))
    (tmp_path / "2.json").write_text(json.dumps({"kind": "List", "items": [config_map("x"), config_map("y")]}))
    (tmp_path / "notes.txt").write_text("not for us")

    out = tidegate.ok("apply", "-f", str(tmp_path), "-n", "team")

    assert out.split("\n") == ["namespace/team created", "configmap/x created", "configmap/y created", ""]
    assert tidegate.ok("get", "cm", "-n", "team", "-o", "name") == "configmap/x\nconfigmap/y\n"


def test_dates_stay_text_and_anchors_are_followed(tidegate: World) -> None:
    text = """
apiVersion: v1
kind: ConfigMap
metadata: {name: dates}
data: {when: &when 2026-11-25, again: *when}
"""
    tidegate.ok("apply", "-f", "-", stdin=text)

    assert tidegate.get(kinds.CONFIG_MAP, "dates")["data"] == {"when": "2026-11-25", "again": "2026-11-25"}


def test_a_refused_object_is_reported_with_its_file_and_the_others_are_applied(tidegate: World) -> None:
    unknown = {**service("misspelt"), "sepc": {}}

    answer = tidegate.run("apply", "-f", "-", stdin=documents(unknown, config_map("after")))

    assert answer.code == 1
    assert answer.out == "configmap/after created\n"
    assert answer.err.startswith("error: standard input: service.serving.knative.dev/misspelt: ")
    assert 'unknown field "sepc"' in answer.err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no objects in {}"),
        ("a: [", "{}: line 1: "),
        ("a: 1\na: 2", '{}: line 2: the key "a" is repeated'),
        ("just text", "{}: a document that is not an object"),
        ("kind: Service", "{}: apiVersion is not set"),
        ("{apiVersion: v1, metadata: {name: x}}", "{}: kind is not set in x"),
        (
            "{apiVersion: v1, kind: Dragon, metadata: {name: x}}",
            '{}: no kind "Dragon" in version "v1" in x',
        ),
        ("{apiVersion: v1, kind: ConfigMap}", "{}: metadata.name is not set in a ConfigMap"),
        (
            "{apiVersion: v1, kind: ConfigMap, metadata: {name: x, namespace: other}}",
            '{}: the namespace "other" is not the one of --namespace, "default" in x',
        ),
    ],
)
def test_invalid_files_are_refused_before_any_write(tidegate: World, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "1.yaml").write_text(documents(config_map("never")))
    (tmp_path / "2.yaml").write_text(text)

    assert tidegate.fails("apply", "-n", "default", "-f", str(tmp_path / "2.yaml")).startswith(
        message.format(tmp_path / "2.yaml")
    )
    if text:
        assert message.format(tmp_path / "2.yaml") in tidegate.fails("apply", "-n", "default", "-f", str(tmp_path))
        assert "never" not in tidegate.ok("get", "cm", "-o", "name")


def test_missing_and_binary_files_are_named(tidegate: World, tmp_path: Path) -> None:
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe")

    assert tidegate.fails("apply", "-f", "/no/such/file") == "there is no file /no/such/file"
    assert tidegate.fails("apply", "-f", str(binary)).startswith(f"{binary}: not a text file")
    (tmp_path / "empty").mkdir()
    assert "no .yaml, .yml, .json file in" in tidegate.fails("apply", "-f", str(tmp_path / "empty"))


def test_apply_without_a_running_tidegate_says_how_to_start_one(tmp_path: Path) -> None:
    answer = invoke("apply", "-f", "-", home=tmp_path, stdin=documents(config_map("a")))

    assert (answer.code, answer.err) == (
        1,
        f"error: Tidegate is not running in {tmp_path}: start it with `tidegate up`\n",
    )


@pytest.mark.needs("kubectl")
def test_kubectl_and_tidegate_report_unchanged_after_each_other(tidegate: World) -> None:
    text = documents(config_map("shared", {"a": "1"}), service("shared"))

    def kubectl() -> list[str]:
        command = [
            "kubectl",
            "--kubeconfig",
            str(tidegate.server.kubeconfig),
            "--cache-dir",
            str(tidegate.home / "cache"),
        ]
        done = subprocess.run([*command, "apply", "-f", "-"], input=text, capture_output=True, text=True, check=True)
        return done.stdout.splitlines()

    ours = tidegate.ok("apply", "-f", "-", stdin=text).splitlines()

    assert ours == ["configmap/shared created", "service.serving.knative.dev/shared created"]
    assert kubectl() == ["configmap/shared unchanged", "service.serving.knative.dev/shared unchanged"]
    tidegate.ok("delete", "-f", "-", stdin=text)
    assert kubectl() == ours
    assert tidegate.ok("apply", "-f", "-", stdin=text).splitlines() == [
        line.replace("created", "unchanged") for line in ours
    ]


def test_apply_waits_for_the_services_that_it_applied(tidegate: World) -> None:
    yes = [{"type": kind, "status": "True"} for kind in ("ConfigurationsReady", "RoutesReady")]
    tidegate.given(kinds.SERVICE, {**service("fine"), "status": {"observedGeneration": 1, "conditions": yes}})
    tidegate.given(kinds.SERVICE, service("stuck"))
    both = yaml.safe_dump_all([service("stuck"), service("fine")])

    answer = tidegate.run("apply", "-f", "-", "--wait", "--timeout", "0.1", stdin=both)

    assert answer.code == 1
    assert answer.out.splitlines()[-1] == "service.serving.knative.dev/fine is ready"
    assert answer.err.splitlines()[-1] == (
        "error: stuck is not ready after 0.1 s: waiting for the control plane to see the change"
    )
