# SPDX-License-Identifier: Apache-2.0
"""Rules for clients' requests, as parts of a listener: limits, paths, and headers in which clients claim an identity.
The values follow Envoy's advice for edge proxies (envoyproxy.io/docs, best_practices/edge); docs/gateway.md, "Edge
rules", has the reason of each.

In: config-gateway. Out: parts of the HTTP connection manager. Called by: `listener.py`.
"""

from datetime import timedelta

from envoy.config.common.mutation_rules.v3 import mutation_rules_pb2
from envoy.config.core.v3 import base_pb2, extension_pb2, protocol_pb2
from envoy.config.route.v3 import route_components_pb2
from envoy.extensions.common.ratelimit.v3 import ratelimit_pb2
from envoy.extensions.filters.http.local_ratelimit.v3 import local_rate_limit_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2
from envoy.extensions.http.early_header_mutation.header_mutation.v3 import header_mutation_pb2
from envoy.type.v3 import percent_pb2, token_bucket_pb2
from google.protobuf.wrappers_pb2 import BoolValue, UInt32Value

from tidegate.model.config.gateway import GatewayConfig
from tidegate.xds.headers import overwriting
from tidegate.xds.resource import packed_any

HEADERS_TIMEOUT = timedelta(seconds=10)
IDLE_CONNECTION = timedelta(hours=1)
IDLE_STREAM = timedelta(minutes=5)  # of a request without a route; any other has its revision's limits
UNREAD_RESPONSE = timedelta(minutes=5)
HEADERS_KB = 60
HEADERS_COUNT = 100
STREAMS = 100  # on one HTTP/2 connection
STREAM_WINDOW = 64 << 10  # bytes
CONNECTION_WINDOW = 1 << 20
CONNECTION_BUFFER = 1 << 20
CLIENTS = 10_000  # addresses for which requests are counted at the same time

CLAIMS = (
    "forwarded",
    "true-client-ip",
    "x-client-ip",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-scheme",
    "x-forwarded-server",
    "x-forwarded-ssl",
    "x-original-host",
    "x-original-url",
    "x-real-ip",
    "x-rewrite-url",
)
"""Headers in which proxies pass on the client, host and scheme of a request. Apps trust them."""
INTERNAL = ("k-kubelet-probe", "k-original-host", "k-passthrough-lb", "k-proxy-request")
"""Headers that Knative's own components send to each other."""

_UNDERSCORES = {
    "allow": protocol_pb2.HttpProtocolOptions.ALLOW,
    "reject": protocol_pb2.HttpProtocolOptions.REJECT_REQUEST,
    "drop": protocol_pb2.HttpProtocolOptions.DROP_HEADER,
}
_ESCAPED_SLASHES = {
    "keep": hcm_pb2.HttpConnectionManager.KEEP_UNCHANGED,
    "reject": hcm_pb2.HttpConnectionManager.REJECT_REQUEST,
    "decode": hcm_pb2.HttpConnectionManager.UNESCAPE_AND_FORWARD,
    "redirect": hcm_pb2.HttpConnectionManager.UNESCAPE_AND_REDIRECT,
}
_ALWAYS = base_pb2.RuntimeFractionalPercent(
    default_value=percent_pb2.FractionalPercent(numerator=100, denominator=percent_pb2.FractionalPercent.HUNDRED)
)


def apply(http: hcm_pb2.HttpConnectionManager, edge: GatewayConfig, *, inside: bool) -> None:
    """Add the rules to a listener's HTTP settings. `inside`: it is for apps, which may name the client of a request."""
    http.use_remote_address.value = True
    http.xff_num_trusted_hops = 0 if inside else edge.trusted_hops
    http.normalize_path.value = True
    http.merge_slashes = edge.merge_slashes
    http.path_with_escaped_slashes_action = _ESCAPED_SLASHES[edge.escaped_slashes]
    http.max_request_headers_kb.value = HEADERS_KB
    http.request_headers_timeout.FromTimedelta(HEADERS_TIMEOUT)
    http.stream_idle_timeout.FromTimedelta(IDLE_STREAM)
    http.stream_flush_timeout.FromTimedelta(UNREAD_RESPONSE)
    http.common_http_protocol_options.CopyFrom(
        protocol_pb2.HttpProtocolOptions(
            idle_timeout=IDLE_CONNECTION,
            max_headers_count=UInt32Value(value=HEADERS_COUNT),
            headers_with_underscores_action=_UNDERSCORES[edge.headers_with_underscores],
        )
    )
    http.http2_protocol_options.CopyFrom(
        protocol_pb2.Http2ProtocolOptions(
            max_concurrent_streams=UInt32Value(value=STREAMS),
            initial_stream_window_size=UInt32Value(value=STREAM_WINDOW),
            initial_connection_window_size=UInt32Value(value=CONNECTION_WINDOW),
        )
    )
    http.early_header_mutation_extensions.append(_headers(claims=inside or edge.trusted_hops > 0))
    if not inside and edge.client_requests_per_second:
        http.http_filters.insert(0, _rate_limit(edge.client_requests_per_second))


def _headers(*, claims: bool) -> extension_pb2.TypedExtensionConfig:
    """Header changes that come before Envoy's own. `claims`: pass on the headers in which clients claim an identity."""
    removed = INTERNAL if claims else (*INTERNAL, *CLAIMS)
    address, host = "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%", "%REQ(:AUTHORITY)%"
    added = [("x-real-ip", address), ("x-forwarded-host", host)]
    mutations = [
        *(mutation_rules_pb2.HeaderMutation(remove=name) for name in removed),
        *(mutation_rules_pb2.HeaderMutation(append=each) for each in ([] if claims else overwriting(added))),
    ]
    config = header_mutation_pb2.HeaderMutation(mutations=mutations)
    return extension_pb2.TypedExtensionConfig(name="claims", typed_config=packed_any(config))


def _rate_limit(requests: int) -> hcm_pb2.HttpFilter:
    """At most that many requests per second from one address, and the same number in one burst."""
    bucket = token_bucket_pb2.TokenBucket(
        max_tokens=requests, tokens_per_fill=UInt32Value(value=requests), fill_interval=timedelta(seconds=1)
    )
    by_address = route_components_pb2.RateLimit.Action(
        remote_address=route_components_pb2.RateLimit.Action.RemoteAddress()
    )
    entry = ratelimit_pb2.RateLimitDescriptor.Entry(key="remote_address")
    config = local_rate_limit_pb2.LocalRateLimit(
        stat_prefix="clients",
        filter_enabled=_ALWAYS,
        filter_enforced=_ALWAYS,
        rate_limits=[route_components_pb2.RateLimit(actions=[by_address])],
        descriptors=[ratelimit_pb2.LocalRateLimitDescriptor(entries=[entry], token_bucket=bucket)],
        max_dynamic_descriptors=UInt32Value(value=CLIENTS),
        always_consume_default_token_bucket=BoolValue(value=False),
    )
    return hcm_pb2.HttpFilter(name="clients", typed_config=packed_any(config))
