# SPDX-License-Identifier: Apache-2.0
"""Envoy's listeners and their HTTP settings. The rules for what clients may send are in `edge.py`.

In: entry points, telemetry and config-gateway. Out: messages. Pure. Called by: `gateway/publisher/listeners.py`,
`gateway/publisher/routes.py` (certificates).
"""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

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
from google.protobuf.wrappers_pb2 import BoolValue, UInt32Value

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
"""The name of the Secret for clients that name no host. The Secret of a host has the host's name."""

_HOST = ":authority"
_ADS = config_source_pb2.ConfigSource(
    ads=config_source_pb2.AggregatedConfigSource(),
    resource_api_version=config_source_pb2.V3,
    initial_fetch_timeout=timedelta(minutes=1),  # enough to receive the routes of ten thousand services at a start
)
_HANDSHAKE_TIMEOUT = timedelta(seconds=10)
_WEBSOCKET = "websocket"
# No client may use the headers that change Envoy's own timeouts and retries, so no address counts as internal: no
# client has this one. Without any address here Envoy trusts all private ones.
_NOBODY = hcm_pb2.HttpConnectionManager.InternalAddressConfig(
    cidr_ranges=[address_pb2.CidrRange(address_prefix="255.255.255.255", prefix_len=UInt32Value(value=32))]
)


class EntryPoint(NamedTuple):
    """One port where requests come in. `inside`: it is for apps of this machine, which also reach local hosts there.
    `early`: Envoy may listen before this machine has the addresses, and keeps listening if it loses them."""

    name: str
    addresses: tuple[str, ...]
    port: int
    tls: bool = False
    inside: bool = False
    early: bool = False


@dataclass(frozen=True, slots=True)
class Telemetry:
    """Where Envoy reports requests: the gate's socket, and optionally an access log and a trace collector."""

    gate_socket: Path
    access_log: Path | None = None
    tracing: Tracing | None = None


def build_listener(entry_point: EntryPoint, telemetry: Telemetry, config: GatewayConfig) -> listener_pb2.Listener:
    """The listener of one port. With TLS, the host that a client names in SNI selects the certificate, and nothing
    else: the routes of a request depend on its Host header."""
    http = packed_any(_http(telemetry, config, inside=entry_point.inside))
    side = _side(INSIDE if entry_point.inside else OUTSIDE)
    chain = listener_components_pb2.FilterChain(
        filters=[side, listener_components_pb2.Filter(name="http", typed_config=http)]
    )
    if entry_point.tls:
        chain.transport_socket.CopyFrom(_tls())
        chain.transport_socket_connect_timeout.FromTimedelta(_HANDSHAKE_TIMEOUT)
    first, *others = [_address(address, entry_point.port) for address in entry_point.addresses]
    return listener_pb2.Listener(
        name=entry_point.name,
        address=first,
        additional_addresses=[listener_pb2.AdditionalAddress(address=each) for each in others],
        filter_chains=[chain],
        traffic_direction=base_pb2.INBOUND,
        per_connection_buffer_limit_bytes=UInt32Value(value=edge.CONNECTION_BUFFER),
        freebind=BoolValue(value=True) if entry_point.early else None,
    )


def _address(address: str, port: int) -> address_pb2.Address:
    socket = address_pb2.SocketAddress(address=address, port_value=port, ipv4_compat=address == "::")
    return address_pb2.Address(socket_address=socket)


def _side(side: str) -> listener_components_pb2.Filter:
    """Stores in the connection on which side it came in. Routes match on it; clients cannot change it."""
    value = value_pb2.FilterStateValue(
        object_key=SIDE,
        factory_key="envoy.string",
        format_string=substitution_format_string_pb2.SubstitutionFormatString(
            text_format_source=base_pb2.DataSource(inline_string=side)
        ),
        read_only=True,
    )
    config = set_filter_state_pb2.Config(on_new_connection=[value])
    return listener_components_pb2.Filter(name="side", typed_config=packed_any(config))


def _http(telemetry: Telemetry, config: GatewayConfig, *, inside: bool) -> hcm_pb2.HttpConnectionManager:
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
    edge.apply(http, config, inside=inside)
    return http


def _anything_but(word: str) -> string_pb2.StringMatcher:
    """Matches any other text. A server may ignore an Upgrade header (RFC 9110, 7.8), but without this Envoy rejects the
    request. Envoy's regular expressions have no negation."""
    ends = "|".join(word[:length] for length in range(len(word)))
    differs = "|".join(f"{word[:at]}[^{letter}].*" for at, letter in enumerate(word))
    regex = regex_pb2.RegexMatcher(regex=f"(?i)(?:{ends}|{differs}|{word}.+)")
    return string_pb2.StringMatcher(safe_regex=regex)


def _scopes() -> hcm_pb2.ScopedRoutes:
    """The routes of a request depend on its host alone, without the port."""
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
    """Envoy requests the certificate of a host when the first client names the host. So a certificate that is added,
    changed or removed causes no message to an Envoy that does not use it. For a host without an Ingress the server
    answers that there is no certificate. Envoy then rejects the client and forgets the name, so clients cannot fill its
    memory with names."""
    by_name = extension_pb2.TypedExtensionConfig(name="sni", typed_config=packed_any(Sni(default_value=NO_NAME)))
    selector = OnDemandSecret(config_source=_ADS, certificate_mapper=by_name)
    common = tls_pb2.CommonTlsContext(
        tls_params=common_pb2.TlsParameters(tls_minimum_protocol_version=common_pb2.TlsParameters.TLSv1_2),
        alpn_protocols=["h2", "http/1.1"],
        custom_tls_certificate_selector=extension_pb2.TypedExtensionConfig(
            name="on-demand", typed_config=packed_any(selector)
        ),
    )
    # Envoy supports no session resumption with certificates on demand: a session is not bound to its host.
    context = tls_pb2.DownstreamTlsContext(
        common_tls_context=common, disable_stateless_session_resumption=True, disable_stateful_session_resumption=True
    )
    return base_pb2.TransportSocket(name="tls", typed_config=packed_any(context))


def build_secret(name: str, certificate: bytes, key: bytes) -> secret_pb2.Secret:
    """A certificate and its private key, both as PEM."""
    return secret_pb2.Secret(
        name=name,
        tls_certificate=common_pb2.TlsCertificate(
            certificate_chain=base_pb2.DataSource(inline_bytes=certificate),
            private_key=base_pb2.DataSource(inline_bytes=key),
        ),
    )
