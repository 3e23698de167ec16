# SPDX-License-Identifier: Apache-2.0
"""The routes of an Ingress as Envoy configuration."""

import pytest
from envoy.config.route.v3 import route_components_pb2
from hypothesis import given
from hypothesis import strategies as st

from tidegate.model.objects import Key
from tidegate.routing.table import Mirror, PathRule, Rule, Split
from tidegate.xds.mirror import HEADER, MIRROR
from tidegate.xds.route import build_routes, build_scope

ONE, TWO = Key("default", "hello-00001"), Key("default", "hello-00002")


def routed(*paths: PathRule, https_port: int | None = None) -> list[route_components_pb2.Route]:
    """The routes of one rule with these paths, without the one that rejects TRACE."""
    built = build_routes("default/hello", [Rule(("hello.example.com",), paths)], https_port)
    (virtual_host,) = built.virtual_hosts
    routes = list(virtual_host.routes)
    assert routes[0].direct_response.status == 405
    return routes[1:]


def to(*shares: tuple[Key, int]) -> PathRule:
    return PathRule(tuple(Split(revision, percent) for revision, percent in shares))


def test_each_rule_is_a_virtual_host_of_its_hosts() -> None:
    rules = [Rule(("a.example.com", "b.example.com"), (to((ONE, 100)),)), Rule(("c.example.com",), (to((TWO, 100)),))]
    built = build_routes("default/hello", rules, None)

    assert [list(each.domains) for each in built.virtual_hosts] == [
        ["a.example.com", "b.example.com"],
        ["c.example.com"],
    ]
    assert built.ignore_port_in_host_matching


def test_a_scope_maps_a_host_to_routes() -> None:
    scope = build_scope("hello.example.com", "default/hello")

    assert (scope.name, scope.route_configuration_name) == ("hello.example.com", "default/hello")
    assert [fragment.string_key for fragment in scope.key.fragments] == ["hello.example.com"]


@given(st.lists(st.integers(0, 100), min_size=1, max_size=5))
def test_revisions_with_a_share_have_it_as_weight_and_others_are_left_out(percents: list[int]) -> None:
    shares = [(Key("default", f"hello-{number}"), percent) for number, percent in enumerate(percents)]
    routes = routed(to(*shares))

    weights = {each.name: each.weight.value for route in routes for each in route.route.weighted_clusters.clusters}
    assert weights == {str(revision): percent for revision, percent in shares if percent}


@pytest.mark.parametrize(
    ("prefix", "field", "value"),
    [
        ("/", "prefix", "/"),
        ("", "prefix", "/"),
        ("/a", "path_separated_prefix", "/a"),
        ("/a/", "path_separated_prefix", "/a"),
    ],
)
def test_a_prefix_matches_whole_segments(prefix: str, field: str, value: str) -> None:
    (route,) = routed(to((ONE, 100))._replace(prefix=prefix))

    assert getattr(route.match, field) == value


def test_envoy_has_no_timeout_and_retries_only_requests_that_no_instance_has_received() -> None:
    (route,) = routed(to((ONE, 100)))
    action = route.route

    assert (action.HasField("timeout"), action.timeout.seconds) == (
        True,
        0,
    )  # without it Envoy has a timeout of its own
    assert action.retry_policy.retry_on == "connect-failure,refused-stream,reset-before-request"
    assert not action.retry_policy.HasField("per_try_timeout")


def test_a_redirect_comes_before_all_paths_and_names_a_port_other_than_the_default() -> None:
    first, second = routed(to((ONE, 100)), https_port=8443)
    assert (first.redirect.https_redirect, first.redirect.port_redirect) == (True, 8443)
    assert second.HasField("route")

    usual, _ = routed(to((ONE, 100)), https_port=443)
    assert usual.redirect.port_redirect == 0


def test_headers_are_overwritten_and_the_host_is_replaced() -> None:
    path = PathRule((Split(ONE, 100, (("A", "1"),)),), headers=(("B", "2"),), host="inner")
    (route,) = routed(path)
    (weighted,) = route.route.weighted_clusters.clusters

    assert [(each.header.key, each.header.value) for each in weighted.request_headers_to_add] == [("A", "1")]
    assert [(each.header.key, each.header.value) for each in route.request_headers_to_add] == [("B", "2")]
    assert route.route.host_rewrite_literal == "inner"


def test_a_copy_names_its_revision_and_looks_like_its_request() -> None:
    (route,) = routed(to((ONE, 100))._replace(mirrors=(Mirror(TWO, 25),)))

    (policy,) = route.route.request_mirror_policies
    share = policy.runtime_fraction.default_value
    added = {each.append.header.key: each.append.header.value for each in policy.request_headers_mutations}
    assert (policy.cluster, share.numerator, share.denominator) == (MIRROR, 25, share.HUNDRED)
    assert added == {HEADER: "default/hello-00002", "Knative-Serving-Revision": "hello-00002"}
    assert policy.disable_shadow_host_suffix_append


def test_no_client_can_mark_a_request_as_a_copy() -> None:
    assert HEADER in build_routes("default/hello", [], None).request_headers_to_remove
