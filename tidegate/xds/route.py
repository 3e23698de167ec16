# SPDX-License-Identifier: Apache-2.0
"""The rules of an Ingress as an Envoy RouteConfiguration, and a scope for each of its hosts.

Envoy finds the scope by the Host header, and the scope names the RouteConfiguration. So a change of one Ingress sends
that Ingress's resources only, however many others exist. A host's scope does not change while the host stays with its
Ingress: when a scope changes, Envoy has no routes for the host for a moment.

All listeners have the same scopes and routes. Routes for one side match on the side that the listener has stored in the
connection (`listener.py`): local hosts have routes inside only, and plain HTTP is redirected outside only.

In: `Rule`s. Out: messages. Pure. Called by: `gateway/publisher/routes.py`.
"""

from collections.abc import Sequence
from datetime import timedelta

from envoy.config.route.v3 import route_components_pb2, route_pb2, scoped_route_pb2
from envoy.type.matcher.v3 import filter_state_pb2, string_pb2
from google.protobuf.wrappers_pb2 import BoolValue, UInt32Value

from tidegate.routing.table import PathRule, Rule, Split
from tidegate.xds.cluster import cluster_name
from tidegate.xds.headers import overwriting
from tidegate.xds.mirror import HEADER, mirror_policy
from tidegate.xds.retries import RETRIES

_NOT_FROM_CLIENTS = ("K-Network-Hash", "K-Network-Probe", HEADER)

SIDE = "tidegate.side"
"""The key in a connection's filter state for the side of its listener: inside or outside."""
INSIDE, OUTSIDE = "inside", "outside"


# TRACE would show a script the headers that browsers hide from it (RFC 9110, 9.3.8).
_NO_TRACE = route_components_pb2.Route(
    match=route_components_pb2.RouteMatch(
        prefix="/",
        headers=[
            route_components_pb2.HeaderMatcher(name=":method", string_match=string_pb2.StringMatcher(exact="TRACE"))
        ],
    ),
    direct_response=route_components_pb2.DirectResponseAction(status=405),
    response_headers_to_add=overwriting([("allow", "GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS")]),
)


def build_scope(host: str, routes: str) -> scoped_route_pb2.ScopedRouteConfiguration:
    """`routes`: the name of the host's RouteConfiguration."""
    fragment = scoped_route_pb2.ScopedRouteConfiguration.Key.Fragment(string_key=host)
    key = scoped_route_pb2.ScopedRouteConfiguration.Key(fragments=[fragment])
    return scoped_route_pb2.ScopedRouteConfiguration(name=host, route_configuration_name=routes, key=key)


def build_routes(name: str, rules: Sequence[Rule], https_port: int | None) -> route_pb2.RouteConfiguration:
    """`https_port`: the target of redirects of plain HTTP from outside; None to serve plain HTTP."""
    first = [_redirect(https_port)] if https_port is not None else []
    return route_pb2.RouteConfiguration(
        name=name,
        virtual_hosts=[
            route_components_pb2.VirtualHost(
                name=rule.hosts[0],
                domains=rule.hosts,
                routes=[_NO_TRACE, *([] if rule.local else first), *_routes(rule)],
            )
            for rule in rules
        ],
        ignore_port_in_host_matching=True,
        request_headers_to_remove=_NOT_FROM_CLIENTS,
        validate_clusters=BoolValue(value=False),
    )


def _redirect(https_port: int) -> route_components_pb2.Route:
    by_http = route_components_pb2.HeaderMatcher(
        name="x-forwarded-proto", string_match=string_pb2.StringMatcher(exact="http")
    )
    action = route_components_pb2.RedirectAction(https_redirect=True)
    if https_port != 443:
        action.port_redirect = https_port
    return route_components_pb2.Route(
        match=route_components_pb2.RouteMatch(prefix="/", headers=[by_http], filter_state=[_from(OUTSIDE)]),
        redirect=action,
    )


def _routes(rule: Rule) -> list[route_components_pb2.Route]:
    """The routes of a rule. A path whose splits all have 0 % has no route."""
    sides = [_from(INSIDE)] if rule.local else []
    return [_route(path, sides) for path in rule.paths if any(split.percent for split in path.splits)]


def _from(side: str) -> filter_state_pb2.FilterStateMatcher:
    return filter_state_pb2.FilterStateMatcher(key=SIDE, string_match=string_pb2.StringMatcher(exact=side))


def _route(path: PathRule, sides: Sequence[filter_state_pb2.FilterStateMatcher]) -> route_components_pb2.Route:
    conditions = [
        route_components_pb2.HeaderMatcher(name=name, string_match=string_pb2.StringMatcher(exact=value))
        for name, value in path.conditions
    ]
    splits = [split for split in path.splits if split.percent]
    return route_components_pb2.Route(
        match=route_components_pb2.RouteMatch(headers=conditions, filter_state=sides, **_prefix(path.prefix)),
        route=_action(path, splits),
        request_headers_to_add=overwriting(path.headers),
    )


def _prefix(prefix: str) -> dict[str, str]:
    """Match whole segments: /a matches /a and /a/b, but not /ab."""
    return {"prefix": "/"} if not prefix.strip("/") else {"path_separated_prefix": prefix.rstrip("/")}


def _action(path: PathRule, splits: list[Split]) -> route_components_pb2.RouteAction:
    weighted = route_components_pb2.WeightedCluster(
        clusters=[
            route_components_pb2.WeightedCluster.ClusterWeight(
                name=cluster_name(split.revision),
                weight=UInt32Value(value=split.percent),
                request_headers_to_add=overwriting(split.headers),
            )
            for split in splits
        ]
    )
    action = route_components_pb2.RouteAction(
        weighted_clusters=weighted,
        timeout=timedelta(0),  # the gate has each revision's limits; Envoy's timeout begins when a request is complete
        idle_timeout=timedelta(0),  # it would include the time that a request waits in the gate
        retry_policy=RETRIES,
        request_mirror_policies=map(mirror_policy, path.mirrors),
    )
    if path.host:
        action.host_rewrite_literal = path.host
    return action
