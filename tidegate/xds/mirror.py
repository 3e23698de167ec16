# SPDX-License-Identifier: Apache-2.0
"""Mirrored traffic: how Envoy copies requests, and the path of a copy to an instance.

Envoy's router sends copies past the HTTP filters of the request's listener, and so past the gate. Therefore copies are
sent to a second listener inside the same Envoy, which nothing else can reach. Its last filter before the router is the
gate:

    request -> [gate] -> router -> instance -> response
                           | copy, with a header that names its revision
                           v
                cluster `mirror` -> listener `mirror` -> [gate, for copies] -> router -> instance -> response dropped

Cluster and listener are the same for every mirror: a header names the revision of a copy. Called by: `route.py`,
`gateway/publisher/listeners.py`.
"""

from datetime import timedelta
from pathlib import Path

from envoy.config.cluster.v3 import circuit_breaker_pb2, cluster_pb2
from envoy.config.common.mutation_rules.v3 import mutation_rules_pb2
from envoy.config.core.v3 import address_pb2, base_pb2, protocol_pb2
from envoy.config.endpoint.v3 import endpoint_components_pb2, endpoint_pb2
from envoy.config.listener.v3 import listener_components_pb2, listener_pb2
from envoy.config.route.v3 import route_components_pb2, route_pb2
from envoy.extensions.filters.http.buffer.v3 import buffer_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2
from envoy.type.v3 import percent_pb2
from google.protobuf.wrappers_pb2 import UInt32Value

from tidegate.routing.table import Mirror
from tidegate.xds.access import build_access_log
from tidegate.xds.cluster import cluster_name
from tidegate.xds.headers import overwriting
from tidegate.xds.module import gate_and_router
from tidegate.xds.resource import packed_any
from tidegate.xds.retries import RETRIES
from tidegate.xds.upstream import http2

MIRROR = "mirror"
"""The name of the cluster and of the listener; the clusters of revisions have a slash."""

HEADER = "tidegate-mirror"
"""The header that marks a copy, for apps too. Its value is the target: "NAMESPACE/REVISION"."""

_REVISION = "Knative-Serving-Revision"
_COPIES = 10_000  # in progress at the same time, to all revisions; more are dropped
BODY_BYTES = 1 << 20
"""Largest body of a copy. Envoy reads a body no faster than its copy is read. So a copy is buffered as a whole before
it waits for anything, and a larger one is dropped: otherwise a copy could delay its client."""


def mirror_policy(mirror: Mirror) -> route_components_pb2.RouteAction.RequestMirrorPolicy:
    """Copy that share of a route's requests to that revision."""
    headers = ((HEADER, cluster_name(mirror.revision)), (_REVISION, mirror.revision.name))
    share = percent_pb2.FractionalPercent(numerator=mirror.percent, denominator=percent_pb2.FractionalPercent.HUNDRED)
    return route_components_pb2.RouteAction.RequestMirrorPolicy(
        cluster=MIRROR,
        runtime_fraction=base_pb2.RuntimeFractionalPercent(default_value=share),
        request_headers_mutations=[mutation_rules_pb2.HeaderMutation(append=option) for option in overwriting(headers)],
        disable_shadow_host_suffix_append=True,  # an app that serves several hosts needs the original one
    )


def build_mirror_cluster() -> cluster_pb2.Cluster:
    """The cluster that leads to the listener."""
    inside = address_pb2.EnvoyInternalAddress(server_listener_name=MIRROR)
    endpoint = endpoint_components_pb2.LbEndpoint(
        endpoint=endpoint_components_pb2.Endpoint(address=address_pb2.Address(envoy_internal_address=inside))
    )
    most = UInt32Value(value=_COPIES)
    breakers = circuit_breaker_pb2.CircuitBreakers.Thresholds(max_requests=most, max_pending_requests=most)
    return cluster_pb2.Cluster(
        name=MIRROR,
        type=cluster_pb2.Cluster.STATIC,
        connect_timeout=timedelta(seconds=1),
        circuit_breakers=circuit_breaker_pb2.CircuitBreakers(thresholds=[breakers]),
        load_assignment=endpoint_pb2.ClusterLoadAssignment(
            cluster_name=MIRROR, endpoints=[endpoint_components_pb2.LocalityLbEndpoints(lb_endpoints=[endpoint])]
        ),
        typed_extension_protocol_options=http2(_http2()),  # a few connections are enough for all copies
    )


def build_mirror_listener(gate_socket: Path, access_log: Path | None) -> listener_pb2.Listener:
    """No timeouts: those of a copy's revision apply. No tracing: the trace of the original request covers the copy."""
    action = route_components_pb2.RouteAction(cluster_header=HEADER, timeout=timedelta(0), retry_policy=RETRIES)
    routes = route_pb2.RouteConfiguration(
        name=MIRROR,
        virtual_hosts=[
            route_components_pb2.VirtualHost(
                name=MIRROR,
                domains=["*"],
                routes=[route_components_pb2.Route(match=route_components_pb2.RouteMatch(prefix="/"), route=action)],
            )
        ],
        request_headers_to_remove=["x-envoy-internal"],
    )
    buffer = buffer_pb2.Buffer(max_request_bytes=UInt32Value(value=BODY_BYTES))
    http = hcm_pb2.HttpConnectionManager(
        stat_prefix=MIRROR,
        codec_type=hcm_pb2.HttpConnectionManager.HTTP2,
        route_config=routes,
        http_filters=[
            hcm_pb2.HttpFilter(name="buffer", typed_config=packed_any(buffer)),
            *gate_and_router(str(gate_socket), mirrored=True),
        ],
        access_log=[build_access_log(access_log, mirrored=True)] if access_log is not None else [],
        xff_num_trusted_hops=1,  # Envoy has added its own address
        stream_idle_timeout=timedelta(0),  # it would include the time that a copy waits in the gate
        http2_protocol_options=_http2(),
    )
    return listener_pb2.Listener(
        name=MIRROR,
        internal_listener=listener_pb2.Listener.InternalListenerConfig(),
        ignore_global_conn_limit=True,
        filter_chains=[
            listener_components_pb2.FilterChain(
                filters=[listener_components_pb2.Filter(name="http", typed_config=packed_any(http))]
            )
        ],
    )


def _http2() -> protocol_pb2.Http2ProtocolOptions:
    """CONNECT is allowed because the copy of a WebSocket arrives as CONNECT. So only that copy is rejected, and not its
    connection, which carries other copies."""
    return protocol_pb2.Http2ProtocolOptions(max_concurrent_streams=UInt32Value(value=_COPIES), allow_connect=True)
