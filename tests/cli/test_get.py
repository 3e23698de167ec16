# SPDX-License-Identifier: Apache-2.0
"""`tidegate get`: the columns that kubectl prints, other formats, selection and watching."""

import json

import yaml

from tests.cli.world import READY, World, config_map, following, revision, service
from tidegate.model import kinds


def test_columns_are_those_of_the_server(tidegate: World) -> None:
    tidegate.given(kinds.SERVICE, service("hello"))
    status = {**READY, "url": "http://hello.default.localhost", "latestCreatedRevisionName": "hello-00001"}
    tidegate.patch(kinds.SERVICE, "hello", {"status": status}, status=True)

    lines = tidegate.ok("get", "ksvc", "hello").splitlines()

    assert lines[0].split() == ["NAME", "URL", "LATESTCREATED", "LATESTREADY", "READY", "REASON"]
    assert lines[1].split() == ["hello", "http://hello.default.localhost", "hello-00001", "True"]
    assert lines[1].index("http") == lines[0].index("URL")


def test_kinds_are_found_by_all_their_names(tidegate: World) -> None:
    tidegate.given(kinds.SERVICE, service("named"))

    for word in ("service", "services", "ksvc", "kservice", "services.serving.knative.dev", "Service"):
        assert tidegate.ok("get", word, "named", "-o", "name") == "service.serving.knative.dev/named\n"
    assert tidegate.ok("get", "ksvc/named", "-o", "name") == "service.serving.knative.dev/named\n"


def test_several_kinds_are_printed_in_blocks_with_the_kind_in_the_names(tidegate: World) -> None:
    tidegate.given(kinds.SERVICE, service("both"))
    tidegate.given(kinds.REVISION, revision("both", "both-00001"))

    blocks = tidegate.ok("get", "ksvc/both", "rev/both-00001").split("\n\n")

    assert [block.splitlines()[1].split()[0] for block in blocks] == [
        "service.serving.knative.dev/both",
        "revision.serving.knative.dev/both-00001",
    ]
    assert "service.serving.knative.dev/both" in tidegate.ok("get", "all")


def test_yaml_and_json_print_one_object_or_a_list(tidegate: World) -> None:
    tidegate.given(kinds.CONFIG_MAP, config_map("whole", {"text": "äß\n"}, namespace="default", labels={"in": "list"}))

    one = tidegate.ok("get", "cm", "whole", "-o", "yaml")
    listed = json.loads(tidegate.ok("get", "cm", "-l", "in=list", "-o", "json"))

    assert yaml.safe_load(one) == tidegate.get(kinds.CONFIG_MAP, "whole")
    assert (listed["kind"], [item["metadata"]["name"] for item in listed["items"]]) == ("List", ["whole"])


def test_labels_and_namespaces_select(tidegate: World) -> None:
    tidegate.given(kinds.CONFIG_MAP, config_map("here", namespace="default", labels={"where": "a"}))
    tidegate.given(kinds.CONFIG_MAP, config_map("there", namespace="kube-system", labels={"where": "b"}))

    assert tidegate.ok("get", "cm", "-l", "where", "-o", "name") == "configmap/here\n"
    assert tidegate.ok("get", "cm", "-l", "where", "-n", "kube-system", "-o", "name") == "configmap/there\n"
    lines = tidegate.ok("get", "cm", "-A", "-l", "where").splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["NAMESPACE", "NAME"],
        ["default", "here"],
        ["kube-system", "there"],
    ]


def test_wide_shows_more_columns(tidegate: World) -> None:
    assert "INTERNAL-IP" not in tidegate.run("get", "events").out
    tidegate.given(kinds.NODE, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "machine"}})

    assert "INTERNAL-IP" not in tidegate.ok("get", "node")
    assert "INTERNAL-IP" in tidegate.ok("get", "node", "-o", "wide")


def test_an_empty_result_is_reported_and_is_not_a_failure(tidegate: World) -> None:
    answer = tidegate.run("get", "pods", "-l", "no=where")

    assert (answer.code, answer.out, answer.err) == (0, "", "No resources found in default namespace.\n")


def test_invalid_arguments_of_get_are_one_line(tidegate: World) -> None:
    assert tidegate.fails("get", "ksvcs") == 'the server doesn\'t have a resource type "ksvcs"; did you mean ksvc?'
    assert tidegate.fails("get", "dragon") == 'the server doesn\'t have a resource type "dragon"'
    assert tidegate.fails("get", "cm", "absent") == 'configmaps "absent" not found'
    assert tidegate.fails("get", "all", "x", code=2).startswith('names need one kind, and "all" stands for ')
    assert tidegate.fails("get", "cm/", code=2) == '"cm/" is not KIND/NAME'
    assert tidegate.fails("get", "cm", "x", "-A", code=2).startswith("an object is looked up by name in one namespace")
    assert tidegate.fails("get", "cm,ksvc", "-w", code=2).startswith("--watch follows one kind")
    assert tidegate.fails("get", "cm", "-l", "=").startswith("unable to parse")
    assert "is not one of" in tidegate.fails("get", "cm", "-o", "xml", code=2)


def test_a_watch_shows_the_current_objects_and_then_every_change(tidegate: World) -> None:
    tidegate.given(kinds.CONFIG_MAP, config_map("watched", namespace="default", labels={"look": "yes"}))

    with following(tidegate, "get", "cm", "-w", "-l", "look") as line:
        assert line().split() == ["NAME", "DATA", "AGE"]
        assert line().split()[:2] == ["watched", "0"]
        tidegate.patch(kinds.CONFIG_MAP, "watched", {"data": {"more": "1"}})
        assert line().split()[:2] == ["watched", "1"]
