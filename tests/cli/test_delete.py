# SPDX-License-Identifier: Apache-2.0
"""`tidegate delete` by name, label and file: it waits, and a missing object is a failure without --ignore-not-found."""

import yaml

from tests.cli.world import World, config_map, service
from tidegate.model import kinds


def test_objects_are_deleted_by_name_and_by_kind_and_name(tidegate: World) -> None:
    for name in ("a", "b"):
        tidegate.given(kinds.CONFIG_MAP, config_map(name, namespace="default"))
    tidegate.given(kinds.SERVICE, service("hello"))

    out = tidegate.ok("delete", "cm", "a", "b")

    assert out == 'configmap "a" deleted\nconfigmap "b" deleted\n'
    assert tidegate.ok("delete", "ksvc/hello") == 'service.serving.knative.dev "hello" deleted\n'
    assert tidegate.fails("get", "ksvc", "hello") == 'services.serving.knative.dev "hello" not found'


def test_objects_are_deleted_by_label_and_all_together(tidegate: World) -> None:
    for name, color in (("c", "red"), ("d", "red"), ("e", "blue")):
        tidegate.given(kinds.CONFIG_MAP, config_map(name, namespace="default", labels={"color": color}))

    assert tidegate.ok("delete", "cm", "-l", "color=red") == 'configmap "c" deleted\nconfigmap "d" deleted\n'
    assert tidegate.ok("delete", "cm", "--all") == 'configmap "e" deleted\n'


def test_objects_are_deleted_by_their_file(tidegate: World) -> None:
    text = yaml.safe_dump_all([config_map("f"), config_map("g")])
    tidegate.ok("apply", "-f", "-", stdin=text)

    assert tidegate.ok("delete", "-f", "-", stdin=text) == 'configmap "f" deleted\nconfigmap "g" deleted\n'


def test_a_missing_object_fails_unless_ignored_and_the_others_are_deleted(tidegate: World) -> None:
    tidegate.given(kinds.CONFIG_MAP, config_map("h", namespace="default"))

    answer = tidegate.run("delete", "cm", "absent", "h")

    assert (answer.code, answer.out) == (1, 'configmap "h" deleted\n')
    assert answer.err == 'error: configmaps "absent" not found\n'
    assert tidegate.ok("delete", "cm", "absent", "--ignore-not-found") == ""


def test_delete_waits_for_the_deletion_and_reports_a_timeout(tidegate: World) -> None:
    tidegate.given(kinds.CONFIG_MAP, config_map("held", namespace="default", finalizers=["test/hold"]))

    assert tidegate.fails("delete", "cm", "held", "--timeout", "0") == "configmap/held still exists after 0 s"
    assert tidegate.run("delete", "cm", "held", "--no-wait").code == 0
    tidegate.patch(kinds.CONFIG_MAP, "held", {"metadata": {"finalizers": None}})
    assert tidegate.fails("get", "cm", "held") == 'configmaps "held" not found'


def test_delete_needs_objects_or_files(tidegate: World) -> None:
    assert tidegate.fails("delete", code=2) == "say which objects to delete: KIND NAME, or -f FILE"
    assert tidegate.fails("delete", "cm", code=2).startswith("deleting all objects of a kind needs --all")
    assert tidegate.fails("delete", "namespace", "default").startswith('namespaces "default" is forbidden')
