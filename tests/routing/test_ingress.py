# SPDX-License-Identifier: Apache-2.0
"""An Ingress as a routing table."""

import pytest

from harness import make
from tidegate.model import names
from tidegate.model.objects import Key
from tidegate.routing.ingress import is_ours, routing
from tidegate.routing.table import Mirror, PathRule, Rule, Split

HELLO = Split(Key("default", "hello-00001"), 100, (("Knative-Serving-Revision", "hello-00001"),))


def test_a_host_is_routed_to_its_splits() -> None:
    made = routing(make.ingress("hello"))

    assert made.rules == (Rule(("hello.example.com",), (PathRule((HELLO,)),)),)
    assert made.revisions == {HELLO.revision}
    assert not made.redirects


@pytest.mark.parametrize(
    ("annotations", "ours"),
    [
        ({}, True),
        ({names.INGRESS_CLASS: names.OUR_INGRESS_CLASS}, True),
        ({names.INGRESS_CLASS: "istio.ingress.networking.knative.dev"}, False),
        ({names.INGRESS_CLASSES[1]: "istio.ingress.networking.knative.dev"}, False),
    ],
)
def test_an_ingress_is_ours_by_its_class(annotations: dict[str, str], ours: bool) -> None:
    assert is_ours(make.ingress(annotations=annotations)) is ours


def test_a_host_is_case_insensitive_and_belongs_to_the_first_rule_with_it() -> None:
    path = make.path({"hello-00001": 100})
    rules = (
        make.rule(["A.example.com", "a.example.com"], path),
        make.rule(["a.example.com", "c.example.com"], path, local=True),
        make.rule(["a.example.com", "b.example.com"], path),
        make.rule(["b.example.com"], path),
        make.rule([], path),
    )
    made = routing(make.ingress("hello", *rules))

    assert [(rule.hosts, rule.local) for rule in made.rules] == [
        (("a.example.com",), False),
        (("c.example.com",), True),
        (("b.example.com",), False),
    ]
    assert [rule.hosts for rule in made.public] == [("a.example.com",), ("b.example.com",)]


def test_the_most_specific_path_is_matched_first() -> None:
    by_header = {"color": {"exact": "blue"}}
    paths = [
        make.path({"a": 100}),
        make.path({"b": 100}, headers=by_header),
        make.path({"c": 100}, path="/deep"),
        make.path({"d": 100}, path="/deep", headers=by_header),
    ]
    (rule,) = routing(make.ingress("hello", make.rule("hello.example.com", *paths))).rules

    assert [path.splits[0].revision.name for path in rule.paths] == ["d", "c", "b", "a"]
    assert rule.paths[0].conditions == (("color", "blue"),)


def test_a_revision_without_a_share_is_known_but_not_served() -> None:
    made = routing(make.ingress("hello", make.rule("hello.example.com", make.path({"a": 100, "b": 0}))))

    assert made.revisions == {Key("default", "a"), Key("default", "b")}
    assert made.rules[0].served == {Key("default", "a")}


def test_the_other_fields_of_a_path_are_kept() -> None:
    path = make.path({"a": 100}, appendHeaders={"B": "2", "A": "1"}, rewriteHost="inner")
    made = routing(make.ingress("hello", make.rule("hello.example.com", path), redirect=True))
    (other,) = made.rules[0].paths

    assert (other.headers, other.host, made.redirects) == ((("A", "1"), ("B", "2")), "inner", True)


def test_requests_without_a_tag_are_mirrored() -> None:
    by_tag = make.path({"hello-00002": 100}, headers={names.TAG_HEADER: {"exact": "canary"}})
    mirrored = {names.MIRROR: "hello-00002=10,hello-00003=5", names.TAG_TO_HOST: '{"canary":["canary.example.com"]}'}
    made = routing(
        make.ingress(
            "hello",
            make.rule("hello.example.com", make.path({"hello-00001": 90, "hello-00002": 10}), by_tag),
            make.rule(["canary", "canary.example.com"], make.path({"hello-00002": 100})),
            annotations=mirrored,
        )
    )

    mirrors = (Mirror(Key("default", "hello-00002"), 10), Mirror(Key("default", "hello-00003"), 5))
    assert [path.mirrors for rule in made.rules for path in rule.paths] == [(), mirrors, ()]
    assert made.rules[0].served == made.revisions == {Key("default", f"hello-0000{number}") for number in (1, 2, 3)}


def test_a_revision_that_gets_all_requests_gets_no_copies() -> None:
    path = make.path({"hello-00001": 0, "hello-00002": 100})
    made = routing(
        make.ingress("hello", make.rule("hello.example.com", path), annotations={names.MIRROR: "hello-00002=10"})
    )

    assert made.rules[0].paths[0].mirrors == ()


def test_requests_are_mirrored_in_spite_of_invalid_tag_hosts() -> None:
    mirrored = {names.MIRROR: "hello-00002=10", names.TAG_TO_HOST: "rubbish"}

    assert routing(make.ingress(annotations=mirrored)).rules[0].paths[0].mirrors
