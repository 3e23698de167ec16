# SPDX-License-Identifier: Apache-2.0
"""The HTTP version that Envoy uses with the hosts of a cluster. Called by: `cluster.py`, `mirror.py`, `tracing.py`."""

from envoy.config.core.v3 import protocol_pb2
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2
from google.protobuf.any_pb2 import Any as AnyMessage

from tidegate.xds.resource import packed_any

_NAME = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def http1() -> dict[str, AnyMessage]:
    """HTTP/1.1, with trailers. The value of `typed_extension_protocol_options`."""
    return _options(http_protocol_options=protocol_pb2.Http1ProtocolOptions(enable_trailers=True))


def http2(options: protocol_pb2.Http2ProtocolOptions | None = None) -> dict[str, AnyMessage]:
    """HTTP/2 with prior knowledge. The value of `typed_extension_protocol_options`."""
    return _options(http2_protocol_options=options or protocol_pb2.Http2ProtocolOptions())


def _options(
    **protocol: protocol_pb2.Http1ProtocolOptions | protocol_pb2.Http2ProtocolOptions,
) -> dict[str, AnyMessage]:
    explicit = http_protocol_options_pb2.HttpProtocolOptions.ExplicitHttpConfig(**protocol)
    return {_NAME: packed_any(http_protocol_options_pb2.HttpProtocolOptions(explicit_http_config=explicit))}
