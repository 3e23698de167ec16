# SPDX-License-Identifier: Apache-2.0
"""Envoy's bootstrap configuration: the xDS server, the admin interface, and limits. Listeners, routes and clusters come
over xDS.

In: the sockets and the limits. Out: the bootstrap as JSON. Pure. Called by: `spec.py`.
"""

from pathlib import Path
from typing import Any

JsonObject = dict[str, Any]

_TYPE = "type.googleapis.com/"
_HTTP = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_INTERNAL = "envoy.bootstrap.internal_listener"  # for mirrored copies
_INTERNAL_LISTENER = "envoy.extensions.bootstrap.internal_listener.v3.InternalListener"
_HEAP = "envoy.resource_monitors.fixed_heap"
_MONITORS = _TYPE + "envoy.extensions.resource_monitors."


def bootstrap(xds_socket: Path, admin_socket: Path, *, connections: int, heap_bytes: int) -> JsonObject:
    """`connections`: the most that clients may have. `heap_bytes`: at this size Envoy begins to reject requests."""
    return {
        "node": {"cluster": "tidegate"},  # the id is on the command line: each process has a new one
        "admin": {"address": {"pipe": {"path": str(admin_socket), "mode": 0o600}}},
        "dynamic_resources": {"ads_config": _ads(), "cds_config": _source(), "lds_config": _source()},
        "static_resources": {"clusters": [_xds_cluster(xds_socket)]},
        "overload_manager": _overload(connections, heap_bytes),
        "bootstrap_extensions": [{"name": _INTERNAL, "typed_config": {"@type": _TYPE + _INTERNAL_LISTENER}}],
        # A cluster's counters are created by its first request: most of thousands of services are idle.
        "deferred_stat_options": {"enable_deferred_creation_stats": True},
        "stats_flush_on_admin": True,  # instead of every few seconds
    }


def _ads() -> JsonObject:
    # The control plane may return at any time, and a retry is cheap. Envoy's default limit is 30 seconds.
    retry = {"retry_back_off": {"base_interval": "0.1s", "max_interval": "0.5s"}}
    return {
        "api_type": "DELTA_GRPC",
        "transport_api_version": "V3",
        "set_node_on_first_message_only": True,
        "grpc_services": [{"envoy_grpc": {"cluster_name": "xds", "retry_policy": retry}}],
    }


def _source() -> JsonObject:
    # No timeout: the management server always answers, and Envoy can do nothing without clusters.
    return {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"}


def _xds_cluster(socket: Path) -> JsonObject:
    """No HTTP/2 keepalive: a Unix socket reports at once when the other end is closed."""
    return {
        "name": "xds",
        "type": "STATIC",
        "connect_timeout": "1s",
        "typed_extension_protocol_options": {
            _HTTP: {"@type": _TYPE + _HTTP, "explicit_http_config": {"http2_protocol_options": {}}}
        },
        "load_assignment": {
            "cluster_name": "xds",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {"pipe": {"path": str(socket)}}}}]}],
        },
    }


def _overload(connections: int, heap_bytes: int) -> JsonObject:
    return {
        "refresh_interval": "0.25s",
        "resource_monitors": [
            {
                "name": "envoy.resource_monitors.global_downstream_max_connections",
                "typed_config": {
                    "@type": _MONITORS + "downstream_connections.v3.DownstreamConnectionsConfig",
                    "max_active_downstream_connections": connections,
                },
            },
            {
                "name": _HEAP,
                "typed_config": {
                    "@type": _MONITORS + "fixed_heap.v3.FixedHeapConfig",
                    "max_heap_size_bytes": heap_bytes,
                },
            },
        ],
        "actions": [
            _at(0.9, "envoy.overload_actions.shrink_heap"),
            _at(1.0, "envoy.overload_actions.stop_accepting_requests"),
        ],
    }


def _at(share: float, action: str) -> JsonObject:
    """Do that action from that fraction of the heap on."""
    return {"name": action, "triggers": [{"name": _HEAP, "threshold": {"value": share}}]}
