# SPDX-License-Identifier: Apache-2.0
"""One xDS resource, packed: what the snapshot keeps and the server sends.

Its version is a hash of its content, so that one that did not change is not sent again, not even to an Envoy that got
it from an earlier run of this control plane.
"""

import hashlib
from dataclasses import dataclass

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message

from tidegate.model.objects import Key

_PREFIX = "type.googleapis.com/"
CLUSTER = f"{_PREFIX}envoy.config.cluster.v3.Cluster"
ENDPOINTS = f"{_PREFIX}envoy.config.endpoint.v3.ClusterLoadAssignment"
SECRET = f"{_PREFIX}envoy.extensions.transport_sockets.tls.v3.Secret"
LISTENER = f"{_PREFIX}envoy.config.listener.v3.Listener"
SCOPE = f"{_PREFIX}envoy.config.route.v3.ScopedRouteConfiguration"
ROUTES = f"{_PREFIX}envoy.config.route.v3.RouteConfiguration"


@dataclass(frozen=True, slots=True)
class Resource:
    """`owner`: the object that it came from. `needs`: clusters that Envoy must have before it may have this."""

    type: str
    name: str
    owner: Key
    version: str
    body: AnyMessage
    needs: frozenset[str] = frozenset()


def packed(name: str, owner: Key, message: Message, needs: frozenset[str] = frozenset()) -> Resource:
    """The message as a resource of its type."""
    body = packed_any(message)
    version = hashlib.sha256(body.value).hexdigest()[:16]
    return Resource(body.type_url, name, owner, version, body, needs)


def packed_any(message: Message) -> AnyMessage:
    """The message as Envoy takes those of any type; the same bytes for the same content."""
    body = AnyMessage()
    body.Pack(message, deterministic=True)
    return body
