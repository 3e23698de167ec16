# SPDX-License-Identifier: Apache-2.0
"""One packed xDS resource, as the snapshot keeps it and the server sends it.

Its version is a hash of its content. So an unchanged resource is not sent again, not even to an Envoy that got it from
an earlier control plane.
"""

import hashlib
from dataclasses import dataclass

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message

from tidegate.model.objects import Key

_PREFIX = "type.googleapis.com/"
CLUSTER_TYPE = f"{_PREFIX}envoy.config.cluster.v3.Cluster"
ENDPOINTS_TYPE = f"{_PREFIX}envoy.config.endpoint.v3.ClusterLoadAssignment"
SECRET_TYPE = f"{_PREFIX}envoy.extensions.transport_sockets.tls.v3.Secret"
LISTENER_TYPE = f"{_PREFIX}envoy.config.listener.v3.Listener"
SCOPE_TYPE = f"{_PREFIX}envoy.config.route.v3.ScopedRouteConfiguration"
ROUTES_TYPE = f"{_PREFIX}envoy.config.route.v3.RouteConfiguration"


@dataclass(frozen=True, slots=True)
class XdsResource:
    """`owner`: the object that it was built from. `needs`: clusters that Envoy must have before this resource."""

    type: str
    name: str
    owner: Key
    version: str
    body: AnyMessage
    needs: frozenset[str] = frozenset()


def packed(name: str, owner: Key, message: Message, needs: frozenset[str] = frozenset()) -> XdsResource:
    """The message as a resource of its type."""
    body = packed_any(message)
    version = hashlib.sha256(body.value).hexdigest()[:16]
    return XdsResource(body.type_url, name, owner, version, body, needs)


def packed_any(message: Message) -> AnyMessage:
    """The message as an `Any`; equal content gives equal bytes."""
    body = AnyMessage()
    body.Pack(message, deterministic=True)
    return body
