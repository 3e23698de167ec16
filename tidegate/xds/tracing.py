# SPDX-License-Identifier: Apache-2.0
"""Traces: Envoy sends a span for every sampled request to an OpenTelemetry collector (OTLP over gRPC).

Instances get the W3C trace context (`traceparent`) with and without tracing; with it, Envoy's span is the parent.
Called by: `listener.py`, `gateway/publisher/listeners.py`.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Self
from urllib.parse import urlsplit

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import address_pb2, grpc_service_pb2
from envoy.config.endpoint.v3 import endpoint_components_pb2, endpoint_pb2
from envoy.config.trace.v3 import http_tracer_pb2, opentelemetry_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2
from envoy.type.v3 import percent_pb2
from google.protobuf.wrappers_pb2 import BoolValue

from tidegate.xds.resource import packed_any
from tidegate.xds.upstream import http2

COLLECTOR = "collector"
"""The cluster's name. Clusters of revisions have a slash in their names."""

_OTLP_PORT = 4317
_SERVICE = "tidegate"


@dataclass(frozen=True, slots=True)
class Tracing:
    """Where the collector is, and the percentage of requests to trace if the client has not decided."""

    host: str
    port: int
    percent: float = 100

    @classmethod
    def to(cls, endpoint: str, percent: float = 100) -> Self:
        """From "http://HOST:PORT", the form of $OTEL_EXPORTER_OTLP_ENDPOINT."""
        url = urlsplit(endpoint)
        if url.scheme != "http" or not url.hostname:
            raise ValueError(f"an OTLP endpoint is http://HOST:PORT, not {endpoint!r}")
        return cls(url.hostname, url.port or _OTLP_PORT, percent)


def build_tracing(tracing: Tracing) -> hcm_pb2.HttpConnectionManager.Tracing:
    service = grpc_service_pb2.GrpcService(
        envoy_grpc=grpc_service_pb2.GrpcService.EnvoyGrpc(cluster_name=COLLECTOR), timeout=timedelta(seconds=1)
    )
    config = opentelemetry_pb2.OpenTelemetryConfig(grpc_service=service, service_name=_SERVICE)
    return hcm_pb2.HttpConnectionManager.Tracing(
        random_sampling=percent_pb2.Percent(value=tracing.percent),
        provider=http_tracer_pb2.Tracing.Http(name="envoy.tracers.opentelemetry", typed_config=packed_any(config)),
    )


def build_collector(tracing: Tracing) -> cluster_pb2.Cluster:
    address = address_pb2.SocketAddress(address=tracing.host, port_value=tracing.port)
    endpoint = endpoint_components_pb2.LbEndpoint(
        endpoint=endpoint_components_pb2.Endpoint(address=address_pb2.Address(socket_address=address))
    )
    return cluster_pb2.Cluster(
        name=COLLECTOR,
        type=cluster_pb2.Cluster.STRICT_DNS,
        dns_lookup_family=cluster_pb2.Cluster.V4_PREFERRED,  # collectors on this host listen on IPv4
        connect_timeout=timedelta(seconds=1),
        wait_for_warm_on_init=BoolValue(value=False),  # Envoy does not wait for a collector whose name does not resolve
        load_assignment=endpoint_pb2.ClusterLoadAssignment(
            cluster_name=COLLECTOR,
            endpoints=[endpoint_components_pb2.LocalityLbEndpoints(lb_endpoints=[endpoint])],
        ),
        typed_extension_protocol_options=http2(),
    )
