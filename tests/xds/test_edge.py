# SPDX-License-Identifier: Apache-2.0
"""The limits of time and memory in a listener, as values. Envoy enforces them."""

from pathlib import Path

from envoy.config.listener.v3 import listener_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2

from tidegate.model.config import GatewayConfig
from tidegate.xds.listener import EntryPoint, Telemetry, build_listener


def listener(config: GatewayConfig | None = None, *, inside: bool = False) -> listener_pb2.Listener:
    entry_point = EntryPoint("http", ("127.0.0.1", "::1"), 8080, inside=inside)
    return build_listener(entry_point, Telemetry(Path("/gate.sock")), config or GatewayConfig())


def http(config: GatewayConfig | None = None, *, inside: bool = False) -> hcm_pb2.HttpConnectionManager:
    message = listener(config, inside=inside).filter_chains[0].filters[-1].typed_config
    return hcm_pb2.HttpConnectionManager.FromString(message.value)


def test_every_wait_for_a_client_has_a_timeout() -> None:
    limits = http()
    assert limits.request_headers_timeout.seconds == 10
    assert limits.stream_idle_timeout.seconds == 300
    assert limits.stream_flush_timeout.seconds == 300
    assert limits.common_http_protocol_options.idle_timeout.seconds == 3600


def test_a_connection_is_buffered_up_to_a_mebibyte_each_way() -> None:
    assert listener().per_connection_buffer_limit_bytes.value == 1 << 20


def test_a_listener_may_be_bound_before_its_address_exists_only_if_asked() -> None:
    early = EntryPoint("pods", ("10.208.15.254",), 8081, inside=True, early=True)

    assert build_listener(early, Telemetry(Path("/gate.sock")), GatewayConfig()).freebind.value
    assert not listener().freebind.value


def test_a_listener_has_all_its_addresses_on_one_port() -> None:
    made = listener()
    addresses = [made.address, *(each.address for each in made.additional_addresses)]
    assert [(each.socket_address.address, each.socket_address.port_value) for each in addresses] == [
        ("127.0.0.1", 8080),
        ("::1", 8080),
    ]


def test_apps_have_no_rate_limit_and_no_trusted_proxy() -> None:
    config = GatewayConfig(trusted_hops=2, client_requests_per_second=5)
    assert [each.name for each in http(config).http_filters] == ["clients", "gate", "router"]
    assert [each.name for each in http(config, inside=True).http_filters] == ["gate", "router"]
    assert (http(config).xff_num_trusted_hops, http(config, inside=True).xff_num_trusted_hops) == (2, 0)
