# SPDX-License-Identifier: Apache-2.0
"""Where requests come in: Envoy's listeners, and how each reads HTTP. What they take from clients is in `edge.py`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from envoy.config.core.v3 import (
    address_pb2,
    base_pb2,
    config_source_pb2,
    extension_pb2,
    protocol_pb2,
    substitution_format_string_pb2,
)
from envoy.config.listener.v3 import listener_components_pb2, listener_pb2
from envoy.extensions.filters.common.set_filter_state.v3 import value_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2
from envoy.extensions.filters.network.set_filter_state.v3 import set_filter_state_pb2
from envoy.extensions.transport_sockets.tls.v3 import common_pb2, secret_pb2, tls_pb2
from envoy.type.matcher.v3 import regex_pb2, string_pb2
from google.protobuf.wrappers_pb2 import UInt32Value

from tidegate.model.config.gateway import GatewayConfig
from tidegate.xds import edge
from tidegate.xds.access import build_access_log
from tidegate.xds.module import gate_and_router
from tidegate.xds.replies import build_replies
from tidegate.xds.resource import packed_any
from tidegate.xds.route import INSIDE, OUTSIDE, SIDE
from tidegate.xds.tracing import Tracing, build_tracing
from tidegate.xds.unpublished import OnDemandSecret, Sni

NO_NAME = "*"
"""The secret for clients that name no host; that of a host has its name."""

_HOST = ":authority"
_ADS = config_source_pb2.ConfigSource(
    ads=config_source_pb2.AggregatedConfigSource(),
    resource_api_version=config_source_pb2.V3,
    initial_fetch_timeout=timedelta(minutes=1),  # that a start with ten thousand services has to get all of them
)
_HANDSHAKE_WITHIN = timedelta(seconds=10)
_WEBSOCKET = "websocket"
# Headers by which Envoy's own timeouts and retries can be changed are not for clients, wherever they are: no client has
# this address, and without any Envoy takes all private ones.
_NOBODY = hcm_pb2.HttpConnectionManager.InternalAddressConfig(
    cidr_ranges=[address_pb2.CidrRange(address_prefix="255.255.255.255", prefix_len=UInt32Value(value=32))]
)


@dataclass(frozen=True, slots=True)
class Telemetry:
    """What is told of every request: to the gate's socket, and where wanted, in a file and to a collector of traces."""

    gate_socket: Path
    access_log: Path | None = None
    tracing: Tracing | None = None


def build_listener(
    name: str,
    addresses: Sequence[str],
    port: int,
    telemetry: Telemetry,
    taken: GatewayConfig,
    *,
    tls: bool = False,
    inside: bool = False,
) -> listener_pb2.Listener:
    """`taken`: what is taken from clients. With `tls`, what a client asks for by SNI decides which certificate it is
    shown. That and no more: whatever it was, its requests go by their Host. `inside`: it is for apps, which may have
    local hosts too."""
    http = listener_components_pb2.Filter(name="http", typed_config=packed_any(_http(telemetry, taken, inside=inside)))
    chain = listener_components_pb2.FilterChain(filters=[_side(INSIDE if inside else OUTSIDE), http])
    if tls:
        chain.transport_socket.CopyFrom(_tls())
        chain.transport_socket_connect_timeout.FromTimedelta(_HANDSHAKE_WITHIN)
    first, *others = [_address(address, port) for address in addresses]
    return listener_pb2.Listener(
        name=name,
        address=first,
        additional_addresses=[listener_pb2.AdditionalAddress(address=each) for each in others],
        filter_chains=[chain],
        traffic_direction=base_pb2.INBOUND,
        per_connection_buffer_limit_bytes=UInt32Value(value=edge.CONNECTION_BUFFER),
    )


def _address(address: str, port: int) -> address_pb2.Address:
    socket = address_pb2.SocketAddress(address=address, port_value=port, ipv4_compat=address == "::")
    return address_pb2.Address(socket_address=socket)


def _side(side: str) -> listener_components_pb2.Filter:
    """Notes where a connection came in, for routes to ask; nothing that a client sends can change it."""
    noted = value_pb2.FilterStateValue(
        object_key=SIDE,
        factory_key="envoy.string",
        format_string=substitution_format_string_pb2.SubstitutionFormatString(
            text_format_source=base_pb2.DataSource(inline_string=side)
        ),
        read_only=True,
    )
    config = set_filter_state_pb2.Config(on_new_connection=[noted])
    return listener_components_pb2.Filter(name="side", typed_config=packed_any(config))


def _http(telemetry: Telemetry, taken: GatewayConfig, *, inside: bool) -> hcm_pb2.HttpConnectionManager:
    http = hcm_pb2.HttpConnectionManager(
        stat_prefix="gateway",
        codec_type=hcm_pb2.HttpConnectionManager.AUTO,
        scoped_routes=_scopes(),
        http_filters=gate_and_router(str(telemetry.gate_socket)),
        access_log=[build_access_log(telemetry.access_log)] if telemetry.access_log is not None else [],
        tracing=build_tracing(telemetry.tracing) if telemetry.tracing is not None else None,
        upgrade_configs=[hcm_pb2.HttpConnectionManager.UpgradeConfig(upgrade_type=_WEBSOCKET)],
        internal_address_config=_NOBODY,
        strip_trailing_host_dot=True,
        local_reply_config=build_replies(),
        server_header_transformation=hcm_pb2.HttpConnectionManager.PASS_THROUGH,
        http_protocol_options=protocol_pb2.Http1ProtocolOptions(
            enable_trailers=True, ignore_http_11_upgrade=[_anything_but(_WEBSOCKET)]
        ),
    )
    edge.apply(http, taken, inside=inside)
    return http


def _anything_but(word: str) -> string_pb2.StringMatcher:
    """Any other text. A server may ignore an offer to change the protocol (RFC 9110, 7.8), and without this Envoy
    refuses the request. Envoy's expressions know no negation."""
    ends = "|".join(word[:length] for length in range(len(word)))
    differs = "|".join(f"{word[:at]}[^{letter}].*" for at, letter in enumerate(word))
    regex = regex_pb2.RegexMatcher(regex=f"(?i)(?:{ends}|{differs}|{word}.+)")
    return string_pb2.StringMatcher(safe_regex=regex)


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


def _tls() -> base_pb2.TransportSocket:
    """Envoy asks for the certificate of a host when the first client does, so that hosts come, go and change theirs
    without a word to anybody who does not want them. It is told of hosts that nobody has that there is none, refuses
    the client, and forgets them: clients cannot make it remember names of their own."""
    by_name = extension_pb2.TypedExtensionConfig(name="sni", typed_config=packed_any(Sni(default_value=NO_NAME)))
    selector = OnDemandSecret(config_source=_ADS, certificate_mapper=by_name)
    common = tls_pb2.CommonTlsContext(
        tls_params=common_pb2.TlsParameters(tls_minimum_protocol_version=common_pb2.TlsParameters.TLSv1_2),
        alpn_protocols=["h2", "http/1.1"],
        custom_tls_certificate_selector=extension_pb2.TypedExtensionConfig(
            name="on-demand", typed_config=packed_any(selector)
        ),
    )
    # A session is not bound to the host that it was made for: Envoy has none with certificates that come on demand.
    context = tls_pb2.DownstreamTlsContext(
        common_tls_context=common, disable_stateless_session_resumption=True, disable_stateful_session_resumption=True
    )
    return base_pb2.TransportSocket(name="tls", typed_config=packed_any(context))


def build_secret(name: str, certificate: bytes, key: bytes) -> secret_pb2.Secret:
    """A certificate with its key, both as PEM."""
    return secret_pb2.Secret(
        name=name,
        tls_certificate=common_pb2.TlsCertificate(
            certificate_chain=base_pb2.DataSource(inline_bytes=certificate),
            private_key=base_pb2.DataSource(inline_bytes=key),
        ),
    )
