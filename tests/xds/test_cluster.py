# SPDX-License-Identifier: Apache-2.0
"""A revision as an Envoy cluster with endpoints."""

import msgspec
import pytest
from envoy.config.core.v3 import health_check_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2
from google.protobuf.wrappers_pb2 import StringValue

from tidegate.model.load import SlotShare
from tidegate.model.objects import Key
from tidegate.routing.table import Backend, Endpoint
from tidegate.xds import unpublished
from tidegate.xds.cluster import build_cluster, build_endpoints

HELLO = Key("default", "hello-00001")


def addresses(endpoints: endpoint_pb2.ClusterLoadAssignment) -> list[tuple[int, str, int, int]]:
    """(priority, address, port, health)"""
    return [
        (locality.priority, socket.address, socket.port_value, each.health_status)
        for locality in endpoints.endpoints
        for each in locality.lb_endpoints
        if (socket := each.endpoint.address.socket_address)
    ]


def policy(backend: Backend) -> dict[str, object]:
    """The settings that the gate gets."""
    (only,) = build_cluster(HELLO, backend).load_balancing_policy.policies
    config = unpublished.DynamicModulesLoadBalancerConfig.FromString(only.typed_extension_config.typed_config.value)
    settings: dict[str, object] = msgspec.json.decode(StringValue.FromString(config.lb_policy_config.value).value)
    assert (config.dynamic_module_config.name, config.lb_policy_name) == ("gate", "gate")
    return settings


def test_a_cluster_does_not_change_with_its_endpoints() -> None:
    without = build_cluster(HELLO, Backend())
    assert without == build_cluster(HELLO, Backend(endpoints=(Endpoint("127.0.0.1:8080"),)))
    assert without.name == "default/hello-00001"


def test_instances_are_healthy_or_draining_and_an_address_without_listener_is_last() -> None:
    endpoints = (Endpoint("127.0.0.1:8080"), Endpoint("10.0.0.7:9000", draining=True))
    healthy, draining = health_check_pb2.HEALTHY, health_check_pb2.DRAINING

    assert addresses(build_endpoints(HELLO, Backend(endpoints=endpoints))) == [
        (0, "127.0.0.1", 8080, healthy),
        (0, "10.0.0.7", 9000, draining),
        (1, "127.0.0.1", 1, healthy),
    ]
    assert addresses(build_endpoints(HELLO, Backend(endpoints=(Endpoint("::1:8080"),))))[0][1:3] == ("::1", 8080)


def test_the_endpoints_of_a_gateway_carry_its_share_of_every_instance() -> None:
    backend = Backend(endpoints=(Endpoint("127.0.0.1:1"), Endpoint("127.0.0.1:2", draining=True)), concurrency=2)
    first, second, nowhere = [
        dict(each.metadata.filter_metadata)
        for locality in build_endpoints(HELLO, backend, {"127.0.0.1:1": SlotShare(17, 2)}).endpoints
        for each in locality.lb_endpoints
    ]
    assert dict(first["tidegate.gate"]) == {"version": 17, "slots": 2}
    assert second == nowhere == {}


def test_the_gate_gets_its_limits() -> None:
    assert policy(Backend(queue_seconds=60)) == {"containerConcurrency": 0, "queueDeadlineSeconds": 60}
    assert policy(Backend(concurrency=5, queue_seconds=60)) == {
        "containerConcurrency": 5,
        "queueDeadlineSeconds": 60,
        "shared": True,
    }
    assert policy(Backend(unavailable="ContainerFailed"))["unavailable"] == "ContainerFailed"


@pytest.mark.parametrize(("http2", "chosen"), [(True, "http2_protocol_options"), (False, "http_protocol_options")])
def test_http2_is_used_with_instances_that_ask_for_it(http2: bool, chosen: str) -> None:
    (packed,) = build_cluster(HELLO, Backend(http2=http2)).typed_extension_protocol_options.values()
    options = http_protocol_options_pb2.HttpProtocolOptions.FromString(packed.value)

    assert options.explicit_http_config.WhichOneof("protocol_config") == chosen


def test_the_gate_enforces_timeouts_and_reads_the_responses_of_instances() -> None:
    limits = {"responseStartTimeoutSeconds": 3, "idleTimeoutSeconds": 2, "timeoutSeconds": 20}

    settings = policy(Backend(response_start_seconds=3, idle_seconds=2, request_seconds=20))
    assert {name: settings[name] for name in limits} == limits
    assert build_cluster(HELLO, Backend()).transport_socket.name == "gate"
