# SPDX-License-Identifier: Apache-2.0
"""`tidegate delete`: by name, label and file; it waits, and what is not there is a failure unless that is fine."""

import yaml

from tests.cli.world import World, config_map, service
from tidegate.model import kinds


def test_objects_go_by_name_and_by_kind_and_name(tidegate: World) -> None:
    for name in ("a", "b"):
        tidegate.given(kinds.CONFIG_MAP, config_map(name, namespace="default"))
    tidegate.given(kinds.SERVICE, service("hello"))

    out = tidegate.ok("delete", "cm", "a", "b")

    assert out == 'configmap "a" deleted\nconfigmap "b" deleted\n'
    assert tidegate.ok("delete", "ksvc/hello") == 'service.serving.knative.dev "hello" deleted\n'
    assert tidegate.fails("get", "ksvc", "hello") == 'services.serving.knative.dev "hello" not found'


def test_objects_go_by_label_and_all_at_once(tidegate: World) -> None:
    for name, color in (("c", "red"), ("d", "red"), ("e", "blue")):
        tidegate.given(kinds.CONFIG_MAP, config_map(name, namespace="default", labels={"color": color}))

    assert tidegate.ok("delete", "cm", "-l", "color=red") == 'configmap "c" deleted\nconfigmap "d" deleted\n'
    assert tidegate.ok("delete", "cm", "--all") == 'configmap "e" deleted\n'


def test_objects_go_by_the_file_that_made_them(tidegate: World) -> None:
    text = yaml.safe_dump_all([config_map("f"), config_map("g")])
    tidegate.ok("apply", "-f", "-", stdin=text)

    assert tidegate.ok("delete", "-f", "-", stdin=text) == 'configmap "f" deleted\nconfigmap "g" deleted\n'


def test_what_is_not_there_fails_unless_that_is_fine_and_the_rest_goes(tidegate: World) -> None:
    tidegate.given(kinds.CONFIG_MAP, config_map("h", namespace="default"))

    answer = tidegate.run("delete", "cm", "absent", "h")

    assert (answer.code, answer.out) == (1, 'configmap "h" deleted\n')
    assert answer.err == 'error: configmaps "absent" not found\n'
    assert tidegate.ok("delete", "cm", "absent", "--ignore-not-found") == ""


def test_it_waits_until_the_object_is_gone_and_says_when_it_stays(tidegate: World) -> None:
    tidegate.given(kinds.CONFIG_MAP, config_map("held", namespace="default", finalizers=["test/hold"]))

    assert tidegate.fails("delete", "cm", "held", "--timeout", "0") == "configmap/held is still there after 0 s"
    assert tidegate.run("delete", "cm", "held", "--no-wait").code == 0
    tidegate.patch(kinds.CONFIG_MAP, "held", {"metadata": {"finalizers": None}})
    assert tidegate.fails("get", "cm", "held") == 'configmaps "held" not found'


def test_it_needs_to_be_told_what(tidegate: World) -> None:
    assert tidegate.fails("delete", code=2) == "say what to delete: KIND NAME, or -f FILE"
    assert tidegate.fails("delete", "cm", code=2).startswith("deleting all objects of a kind needs --all")
    assert tidegate.fails("delete", "namespace", "default").startswith('namespaces "default" is forbidden')
