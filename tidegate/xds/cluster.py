# SPDX-License-Identifier: Apache-2.0
"""A revision as an Envoy cluster, and its instances as the cluster's endpoints.

In: a `Backend`, and the shares of one gateway. Out: messages. Pure. Called by: `gateway/publisher/backends.py`,
`gateway/publisher/sharing.py`.
"""

from collections.abc import Mapping
from datetime import timedelta

from envoy.config.cluster.v3 import circuit_breaker_pb2, cluster_pb2
from envoy.config.core.v3 import address_pb2, base_pb2, config_source_pb2, health_check_pb2
from envoy.config.endpoint.v3 import endpoint_components_pb2, endpoint_pb2
from google.protobuf import struct_pb2
from google.protobuf.wrappers_pb2 import UInt32Value

from tidegate.model.load import SlotShare
from tidegate.model.objects import Key
from tidegate.routing.table import Backend, Endpoint
from tidegate.xds.module import gate_policy, gate_socket
from tidegate.xds.upstream import http1, http2

_CONNECT = timedelta(seconds=1)
_HTTP1, _HTTP2 = http1(), http2()
_UNLIMITED = UInt32Value(value=1_000_000)
# The gate limits the requests to an instance; Envoy's own limits must not apply first.
_BREAKERS = circuit_breaker_pb2.CircuitBreakers(
    thresholds=[
        circuit_breaker_pb2.CircuitBreakers.Thresholds(
            max_connections=_UNLIMITED,
            max_pending_requests=_UNLIMITED,
            max_requests=_UNLIMITED,
            max_retries=_UNLIMITED,
        )
    ]
)
# By default Envoy delays changes of an existing host (draining, share) by a second.
_AT_ONCE = cluster_pb2.Cluster.CommonLbConfig(update_merge_window=timedelta())
_ADS = config_source_pb2.ConfigSource(
    ads=config_source_pb2.AggregatedConfigSource(), resource_api_version=config_source_pb2.V3
)
# Nothing listens there, so the attempt fails, and the router retries after a pause. The gate chooses this endpoint if
# there is no host at the moment for a request that cannot be repeated from its beginning.
_NOWHERE = Endpoint("127.0.0.1:1")


def cluster_name(revision: Key) -> str:
    return str(revision)


def build_cluster(revision: Key, backend: Backend) -> cluster_pb2.Cluster:
    """The cluster without its endpoints. They are sent by EDS, so they can change without the cluster."""
    return cluster_pb2.Cluster(
        name=cluster_name(revision),
        type=cluster_pb2.Cluster.EDS,
        eds_cluster_config=cluster_pb2.Cluster.EdsClusterConfig(eds_config=_ADS),
        connect_timeout=_CONNECT,
        circuit_breakers=_BREAKERS,
        common_lb_config=_AT_ONCE,
        load_balancing_policy=gate_policy(backend),
        transport_socket=gate_socket(http2=backend.http2),
        typed_extension_protocol_options=_HTTP2 if backend.http2 else _HTTP1,
    )


def build_endpoints(
    revision: Key, backend: Backend, shares: Mapping[str, SlotShare] | None = None
) -> endpoint_pb2.ClusterLoadAssignment:
    """`shares`: by address, of the gateway that gets these endpoints; None for endpoints of all gateways."""
    return endpoint_pb2.ClusterLoadAssignment(
        cluster_name=cluster_name(revision),
        endpoints=[
            endpoint_components_pb2.LocalityLbEndpoints(
                lb_endpoints=[_endpoint(each, (shares or {}).get(each.address)) for each in backend.endpoints]
            ),
            endpoint_components_pb2.LocalityLbEndpoints(priority=1, lb_endpoints=[_endpoint(_NOWHERE)]),
        ],
    )


def _endpoint(endpoint: Endpoint, share: SlotShare | None = None) -> endpoint_components_pb2.LbEndpoint:
    address, _, port = endpoint.address.rpartition(":")
    socket = address_pb2.SocketAddress(address=address, port_value=int(port))
    return endpoint_components_pb2.LbEndpoint(
        endpoint=endpoint_components_pb2.Endpoint(address=address_pb2.Address(socket_address=socket)),
        health_status=health_check_pb2.DRAINING if endpoint.draining else health_check_pb2.HEALTHY,
        metadata=None if share is None else _metadata(share),
    )


def _metadata(share: SlotShare) -> base_pb2.Metadata:
    fields = struct_pb2.Struct()
    fields.update(share._asdict())
    return base_pb2.Metadata(filter_metadata={"tidegate.gate": fields})
