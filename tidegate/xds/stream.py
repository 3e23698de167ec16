# SPDX-License-Identifier: Apache-2.0
"""The state of one Envoy's stream: its resources of every type, and the order in which it gets the others.

Make before break: routes wait until Envoy has the clusters that they refer to, with their endpoints. A cluster stays
until no routes in Envoy refer to it. Endpoints wait for nothing.

A new or replaced cluster waits for its endpoints, and Envoy acknowledges no cluster while one waits. Envoy requests the
endpoints of a name only once, even if the cluster of that name is replaced, and a new stream does not show which
clusters wait. Therefore endpoints are sent even if Envoy has them: after each cluster of their name, and all of them
when a stream begins. Called by: `server.py`.
"""

from collections import Counter
from collections.abc import Iterator
from functools import partial

from envoy.service.discovery.v3 import discovery_pb2

from tidegate.xds.resource import (
    CLUSTER_TYPE,
    ENDPOINTS_TYPE,
    LISTENER_TYPE,
    ROUTES_TYPE,
    SCOPE_TYPE,
    SECRET_TYPE,
    XdsResource,
)
from tidegate.xds.snapshot import TYPES, Snapshot
from tidegate.xds.subscription import Acknowledgement, Subscription

_WILDCARDS = (CLUSTER_TYPE, LISTENER_TYPE, SCOPE_TYPE)
_REMOVED_EXPLICITLY = (*_WILDCARDS, SECRET_TYPE)


class DeltaStream:
    """The state of one stream, without its socket. `node`: the Envoy's id."""

    def __init__(self, snapshot: Snapshot, node: str = "") -> None:
        self._snapshot = snapshot
        self._node = node
        self._subscriptions: dict[str, Subscription] = {}
        self._references: dict[str, frozenset[str]] = {}  # routes -> the clusters that they may refer to in this Envoy
        self._reference_counts: Counter[str] = Counter()
        self._has_reported = False  # whether Envoy has reported its routes of an earlier stream
        self._unknown: set[str] = set()  # of these, routes in a version whose clusters are unknown

    def receive(self, request: discovery_pb2.DeltaDiscoveryRequest) -> list[Acknowledgement]:
        """Take in a request. Return the acknowledgements in it."""
        type_url = request.type_url
        if type_url not in TYPES:
            return []
        subscription = self._subscriptions.get(type_url)
        if subscription is None:
            self._begin(request)
            return []
        subscription.subscribe(request.resource_names_subscribe)
        subscription.unsubscribe(request.resource_names_unsubscribe)
        if type_url == ROUTES_TYPE:
            for name in request.resource_names_unsubscribe:
                self._unknown.discard(name)
                self._refer(name, frozenset())
        acknowledgements = subscription.answered(request.response_nonce, request.error_detail.message)
        for acknowledgement in acknowledgements:
            self._settle(type_url, acknowledgement)
        return acknowledgements

    def changed(self, type_url: str, name: str) -> None:
        """A resource of the snapshot has changed."""
        subscription = self._subscriptions.get(type_url)
        if subscription is not None:
            subscription.changed(name)

    def responses(self) -> Iterator[discovery_pb2.DeltaDiscoveryResponse]:
        """The responses that can be sent now."""
        for type_url in TYPES:
            subscription = self._subscriptions.get(type_url)
            if subscription is None or self._is_too_early(subscription):
                continue
            response = subscription.next()
            if response is not None:
                self._note(type_url, response)
                yield response

    def _is_too_early(self, subscription: Subscription) -> bool:
        """Envoy listens once it has its first scopes. So the first scopes must be complete, and scopes wait for
        clusters."""
        if subscription.type != SCOPE_TYPE or not subscription.is_first:
            return False
        return any(
            self._subscriptions[type_url].is_busy
            for type_url in (CLUSTER_TYPE, ENDPOINTS_TYPE)
            if type_url in self._subscriptions
        )

    def in_force(self, resource: XdsResource) -> bool:
        """Whether this Envoy has acknowledged this version of a resource, or of its own one if it has one."""
        subscription = self._subscriptions.get(resource.type)
        wanted = self._wanted(resource)
        return subscription is not None and subscription.in_force.get(resource.name) == wanted.version

    def error(self, resource: XdsResource) -> str:
        """Why this Envoy rejected this version; "" if it did not."""
        subscription = self._subscriptions.get(resource.type)
        version, why = subscription.rejected.get(resource.name, ("", "")) if subscription is not None else ("", "")
        return why if version == self._wanted(resource).version else ""

    def _wanted(self, resource: XdsResource) -> XdsResource:
        return self._snapshot.own(resource.type, resource.name, self._node) or resource

    def _get(self, type_url: str, name: str) -> XdsResource | None:
        return self._snapshot.get(type_url, name, self._node)

    def _begin(self, request: discovery_pb2.DeltaDiscoveryRequest) -> None:
        type_url, known = request.type_url, dict(request.initial_resource_versions)
        subscription = Subscription(type_url, partial(self._get, type_url), partial(self._may_send, type_url))
        self._subscriptions[type_url] = subscription
        there = self._snapshot.all(type_url) if type_url in _WILDCARDS else None
        subscription.begin(known, request.resource_names_subscribe, there)
        if type_url == ENDPOINTS_TYPE:
            for name in known:
                subscription.again(name)
        self._has_reported |= type_url == ROUTES_TYPE or (
            type_url == SCOPE_TYPE and not known
        )  # without scopes it has no routes
        if type_url == ROUTES_TYPE:
            for name, version in known.items():
                routes = self._snapshot.get(ROUTES_TYPE, name)
                if routes is not None and routes.version == version:
                    self._refer(name, routes.needs)
                else:
                    self._unknown.add(name)

    def _may_send(self, type_url: str, name: str, resource: XdsResource | None) -> bool:
        if resource is not None:
            return all(self._is_warm(cluster) for cluster in resource.needs)
        if type_url == CLUSTER_TYPE:
            return self._has_reported and not (self._reference_counts[name] or self._unknown)
        # Envoy unsubscribes from resources by name that it no longer needs. It gets a removal only if it waits for a
        # resource that does not exist. It keeps a Secret, which it requests for a client, until it gets a removal.
        return type_url in _REMOVED_EXPLICITLY or name not in self._subscriptions[type_url].in_force

    def _is_warm(self, cluster: str) -> bool:
        by_endpoints = self._snapshot.get(ENDPOINTS_TYPE, cluster) is not None
        return all(
            type_url in self._subscriptions and cluster in self._subscriptions[type_url].in_force
            for type_url in ((CLUSTER_TYPE, ENDPOINTS_TYPE) if by_endpoints else (CLUSTER_TYPE,))
        )

    def _note(self, type_url: str, response: discovery_pb2.DeltaDiscoveryResponse) -> None:
        """Note the effects of a response that is sent, before Envoy acknowledges it."""
        for sent in response.resources:
            if type_url == ROUTES_TYPE:
                # Until Envoy acknowledges the routes, it may use the new or the old ones.
                routes = self._snapshot.get(ROUTES_TYPE, sent.name)
                if routes is not None:
                    self._refer(sent.name, self._references.get(sent.name, frozenset()) | routes.needs)
            elif type_url == CLUSTER_TYPE and ENDPOINTS_TYPE in self._subscriptions:
                self._subscriptions[ENDPOINTS_TYPE].again(sent.name)

    def _settle(self, type_url: str, acknowledgement: Acknowledgement) -> None:
        if type_url == ROUTES_TYPE and not acknowledgement.error:
            self._unknown.discard(acknowledgement.name)
            self._refer(
                acknowledgement.name,
                acknowledgement.resource.needs if acknowledgement.resource is not None else frozenset(),
            )

    def _refer(self, routes: str, clusters: frozenset[str]) -> None:
        before = self._references.pop(routes, frozenset())
        if clusters:
            self._references[routes] = clusters
        self._reference_counts.update(clusters - before)
        self._reference_counts.subtract(before - clusters)
        for cluster in before - clusters:
            if not self._reference_counts[cluster]:
                del self._reference_counts[cluster]
