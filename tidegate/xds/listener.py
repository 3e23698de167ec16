# SPDX-License-Identifier: Apache-2.0
"""Where requests come in: Envoy's listeners, and how each reads HTTP. Limits follow Envoy's advice for edge proxies
(envoyproxy.io/docs, best_practices/edge)."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from envoy.config.core.v3 import address_pb2, base_pb2, config_source_pb2, protocol_pb2
from envoy.config.listener.v3 import listener_components_pb2, listener_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2
from envoy.extensions.transport_sockets.tls.v3 import common_pb2, tls_pb2
from google.protobuf.wrappers_pb2 import BoolValue, UInt32Value

from tidegate.xds.access import build_access_log
from tidegate.xds.module import gate_filter
from tidegate.xds.resource import packed_any

_HOST = ":authority"
_ADS = config_source_pb2.ConfigSource(
    ads=config_source_pb2.AggregatedConfigSource(), resource_api_version=config_source_pb2.V3
)
_HEADERS_WITHIN = timedelta(seconds=10)
_IDLE_CONNECTION = timedelta(hours=1)
_STREAMS = 1000  # on one HTTP/2 connection
# Headers by which Envoy's own timeouts and retries can be changed are not for clients, wherever they are: no client has
# this address, and without any Envoy takes all private ones.
_NOBODY = hcm_pb2.HttpConnectionManager.InternalAddressConfig(
    cidr_ranges=[address_pb2.CidrRange(address_prefix="255.255.255.255", prefix_len=UInt32Value(value=32))]
)


@dataclass(frozen=True, slots=True)
class Tls:
    """PEM files of the certificate that is shown."""

    certificate: Path
    key: Path


def build_listener(
    name: str, address: str, port: int, gate_socket: str, tls: Tls | None = None, access_log: Path | None = None
) -> listener_pb2.Listener:
    http = packed_any(_http(gate_socket, access_log))
    chain = listener_components_pb2.FilterChain(
        filters=[listener_components_pb2.Filter(name="http", typed_config=http)],
        transport_socket=_tls(tls) if tls is not None else None,
    )
    socket = address_pb2.SocketAddress(address=address, port_value=port, ipv4_compat=address == "::")
    return listener_pb2.Listener(
        name=name,
        address=address_pb2.Address(socket_address=socket),
        filter_chains=[chain],
        traffic_direction=base_pb2.INBOUND,
    )


def _http(gate_socket: str, access_log: Path | None) -> hcm_pb2.HttpConnectionManager:
    return hcm_pb2.HttpConnectionManager(
        stat_prefix="gateway",
        codec_type=hcm_pb2.HttpConnectionManager.AUTO,
        scoped_routes=_scopes(),
        http_filters=[
            gate_filter(gate_socket),
            hcm_pb2.HttpFilter(name="router", typed_config=packed_any(router_pb2.Router())),
        ],
        access_log=[build_access_log(access_log)] if access_log is not None else [],
        upgrade_configs=[hcm_pb2.HttpConnectionManager.UpgradeConfig(upgrade_type="websocket")],
        use_remote_address=BoolValue(value=True),
        internal_address_config=_NOBODY,
        strip_trailing_host_dot=True,
        normalize_path=BoolValue(value=True),
        server_header_transformation=hcm_pb2.HttpConnectionManager.PASS_THROUGH,
        request_headers_timeout=_HEADERS_WITHIN,
        stream_idle_timeout=timedelta(0),  # it would also count while a request waits in the gate
        common_http_protocol_options=protocol_pb2.HttpProtocolOptions(idle_timeout=_IDLE_CONNECTION),
        http_protocol_options=protocol_pb2.Http1ProtocolOptions(enable_trailers=True),
        http2_protocol_options=protocol_pb2.Http2ProtocolOptions(
            max_concurrent_streams=UInt32Value(value=_STREAMS),
            initial_stream_window_size=UInt32Value(value=1 << 16),
            initial_connection_window_size=UInt32Value(value=1 << 20),
        ),
    )


def _scopes() -> hcm_pb2.ScopedRoutes:
    """Which routes a request has depends on its host alone, not on the port that came with it."""
    builder = hcm_pb2.ScopedRoutes.ScopeKeyBuilder
    extractor = builder.FragmentBuilder.HeaderValueExtractor(name=_HOST, element_separator=":", index=0)
    by_host = builder.FragmentBuilder(header_value_extractor=extractor)
    return hcm_pb2.ScopedRoutes(
        name="hosts",
        scope_key_builder=builder(fragments=[by_host]),
        rds_config_source=_ADS,
        scoped_rds=hcm_pb2.ScopedRds(scoped_rds_config_source=_ADS),
    )


def _tls(tls: Tls) -> base_pb2.TransportSocket:
    certificate = common_pb2.TlsCertificate(
        certificate_chain=base_pb2.DataSource(filename=str(tls.certificate)),
        private_key=base_pb2.DataSource(filename=str(tls.key)),
    )
    parameters = common_pb2.TlsParameters(tls_minimum_protocol_version=common_pb2.TlsParameters.TLSv1_2)
    context = tls_pb2.DownstreamTlsContext(
        common_tls_context=tls_pb2.CommonTlsContext(
            tls_params=parameters, tls_certificates=[certificate], alpn_protocols=["h2", "http/1.1"]
        )
    )
    return base_pb2.TransportSocket(name="tls", typed_config=packed_any(context))
