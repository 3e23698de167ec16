# SPDX-License-Identifier: Apache-2.0
"""How Envoy loads the gate: as an HTTP filter before the router, as the load-balancing policy of each revision, and as
the transport socket to instances. Called by: `listener.py`, `mirror.py`, `cluster.py`."""

from typing import Any

import msgspec
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import base_pb2, extension_pb2
from envoy.extensions.dynamic_modules.v3 import dynamic_modules_pb2
from envoy.extensions.filters.http.dynamic_modules.v3 import dynamic_modules_pb2 as filter_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.wrappers_pb2 import BoolValue, StringValue

from tidegate.routing.table import Backend
from tidegate.xds.resource import packed_any
from tidegate.xds.unpublished import DynamicModulesLoadBalancerConfig, DynamicModuleTransportSocket

_GATE = dynamic_modules_pb2.DynamicModuleConfig(name="gate")


# The gate counts responses by code, and their times. Here they would cost another twentieth of a request.
_ROUTER = hcm_pb2.HttpFilter(
    name="router", typed_config=packed_any(router_pb2.Router(dynamic_stats=BoolValue(value=False)))
)


def gate_and_router(socket: str, *, mirrored: bool = False) -> list[hcm_pb2.HttpFilter]:
    """The last HTTP filters of a listener: the gate, which reports to that socket, and the router. `mirrored`: all
    requests of the listener are mirrored copies."""
    config = filter_pb2.DynamicModuleFilter(
        dynamic_module_config=_GATE,
        filter_name="mirror" if mirrored else "gate",
        filter_config=_text({"socket": socket}),
    )
    return [hcm_pb2.HttpFilter(name="gate", typed_config=packed_any(config)), _ROUTER]


def gate_policy(backend: Backend) -> cluster_pb2.LoadBalancingPolicy:
    """The policy from which the gate gets a revision's hosts and limits (gate/settings.h). With a container
    concurrency, the hosts carry the share of each gateway."""
    limits = {
        "responseStartTimeoutSeconds": backend.response_start_seconds,
        "idleTimeoutSeconds": backend.idle_seconds,
        "timeoutSeconds": backend.request_seconds,
    }
    settings = {
        "containerConcurrency": backend.concurrency,
        "queueDeadlineSeconds": backend.queue_seconds,
        **{name: seconds for name, seconds in limits.items() if seconds},
        **({"shared": True} if backend.concurrency else {}),
        **({"unavailable": backend.unavailable} if backend.unavailable else {}),
    }
    config = DynamicModulesLoadBalancerConfig(
        dynamic_module_config=_GATE, lb_policy_name="gate", lb_policy_config=_text(settings)
    )
    extension = extension_pb2.TypedExtensionConfig(name="gate", typed_config=packed_any(config))
    return cluster_pb2.LoadBalancingPolicy(
        policies=[cluster_pb2.LoadBalancingPolicy.Policy(typed_extension_config=extension)]
    )


def gate_socket(*, http2: bool = False) -> base_pb2.TransportSocket:
    """For connections to instances: it reads the response of an app even if the request can no longer be written."""
    config = DynamicModuleTransportSocket(
        dynamic_module_config=_GATE, transport_socket_name="http2" if http2 else "http1"
    )
    return base_pb2.TransportSocket(name="gate", typed_config=packed_any(config))


def _text(settings: dict[str, Any]) -> AnyMessage:
    return packed_any(StringValue(value=msgspec.json.encode(settings).decode()))
