# SPDX-License-Identifier: Apache-2.0
"""One Envoy's stream: what it has of every type, and the order in which it gets the rest.

Make before break: routes wait until Envoy has the clusters that they lead to, with their endpoints; a cluster stays
until no routes that Envoy has lead to it. Endpoints wait for nothing.

A cluster that is new or replaces another waits for endpoints, and Envoy acknowledges no cluster while one waits. It
asks for those of a name once, also when the cluster of that name is replaced, and a new stream does not say which
clusters wait. So endpoints are sent, whether or not Envoy has them: after each cluster of that name, and all of them
at a stream's beginning.
"""

from collections import Counter
from collections.abc import Iterator
from functools import partial

from envoy.service.discovery.v3 import discovery_pb2

from tidegate.xds.resource import CLUSTER, ENDPOINTS, LISTENER, ROUTES, SCOPE, SECRET, XdsResource
from tidegate.xds.snapshot import TYPES, Snapshot
from tidegate.xds.subscription import Acknowledgement, Subscription

_WILDCARDS = (CLUSTER, LISTENER, SCOPE)
_TOLD_WHEN_GONE = (*_WILDCARDS, SECRET)


class DeltaStream:
    """The state of one stream, without its socket. `node`: the Envoy's id."""

    def __init__(self, snapshot: Snapshot, node: str = "") -> None:
        self._snapshot = snapshot
        self._node = node
        self._subscriptions: dict[str, Subscription] = {}
        self._leads: dict[str, frozenset[str]] = {}  # routes -> the clusters they may lead to in this Envoy
        self._led_to: Counter[str] = Counter()
        self._has_told = False  # which routes it has from an earlier stream
        self._unknown: set[str] = set()  # those of them of which it is not known where they lead

    def receive(self, request: discovery_pb2.DeltaDiscoveryRequest) -> list[Acknowledgement]:
        """Take in a request; what it says of resources that were sent."""
        type_url = request.type_url
        if type_url not in TYPES:
            return []
        subscription = self._subscriptions.get(type_url)
        if subscription is None:
            self._begin(request)
            return []
        subscription.subscribe(request.resource_names_subscribe)
        subscription.unsubscribe(request.resource_names_unsubscribe)
        if type_url == ROUTES:
            for name in request.resource_names_unsubscribe:
                self._unknown.discard(name)
                self._lead(name, frozenset())
        outcomes = subscription.answered(request.response_nonce, request.error_detail.message)
        for outcome in outcomes:
            self._settle(type_url, outcome)
        return outcomes

    def changed(self, type_url: str, name: str) -> None:
        """A resource of the snapshot is another now."""
        subscription = self._subscriptions.get(type_url)
        if subscription is not None:
            subscription.changed(name)

    def responses(self) -> Iterator[discovery_pb2.DeltaDiscoveryResponse]:
        """All that can be sent now."""
        for type_url in TYPES:
            subscription = self._subscriptions.get(type_url)
            if subscription is None or self._is_too_early(subscription):
                continue
            response = subscription.next()
            if response is not None:
                self._note(type_url, response)
                yield response

    def _is_too_early(self, subscription: Subscription) -> bool:
        """Envoy listens once it has its first scopes: those have to be complete, and scopes wait for clusters."""
        if subscription.type != SCOPE or not subscription.is_first:
            return False
        return any(
            self._subscriptions[type_url].is_busy
            for type_url in (CLUSTER, ENDPOINTS)
            if type_url in self._subscriptions
        )

    def in_force(self, resource: XdsResource) -> bool:
        """Whether this Envoy works by just this version of a resource, or by its own where it has one of its own."""
        subscription = self._subscriptions.get(resource.type)
        wanted = self._wanted(resource)
        return subscription is not None and subscription.in_force.get(resource.name) == wanted.version

    def error(self, resource: XdsResource) -> str:
        """Why this Envoy rejected just this version; "" if it did not."""
        subscription = self._subscriptions.get(resource.type)
        version, why = subscription.rejected.get(resource.name, ("", "")) if subscription is not None else ("", "")
        return why if version == self._wanted(resource).version else ""

    def _wanted(self, resource: XdsResource) -> XdsResource:
        return self._snapshot.own(resource.type, resource.name, self._node) or resource

    def _get(self, type_url: str, name: str) -> XdsResource | None:
        return self._snapshot.get(type_url, name, self._node)

    def _begin(self, request: discovery_pb2.DeltaDiscoveryRequest) -> None:
        type_url, known = request.type_url, dict(request.initial_resource_versions)
        subscription = Subscription(type_url, partial(self._get, type_url), partial(self._may, type_url))
        self._subscriptions[type_url] = subscription
        there = self._snapshot.all(type_url) if type_url in _WILDCARDS else None
        subscription.begin(known, request.resource_names_subscribe, there)
        if type_url == ENDPOINTS:
            for name in known:
                subscription.again(name)
        self._has_told |= type_url == ROUTES or (type_url == SCOPE and not known)  # without scopes it has no routes
        if type_url == ROUTES:
            for name, version in known.items():
                routes = self._snapshot.get(ROUTES, name)
                if routes is not None and routes.version == version:
                    self._lead(name, routes.needs)
                else:
                    self._unknown.add(name)

    def _may(self, type_url: str, name: str, resource: XdsResource | None) -> bool:
        if resource is not None:
            return all(self._is_warm(cluster) for cluster in resource.needs)
        if type_url == CLUSTER:
            return self._has_told and not (self._led_to[name] or self._unknown)
        # Of what Envoy asks for by name it says itself when it needs it no more. Only if it has none yet, and waits for
        # it, it is told that there is none. Secrets it asks for whenever a client does, and keeps until it is told.
        return type_url in _TOLD_WHEN_GONE or name not in self._subscriptions[type_url].in_force

    def _is_warm(self, cluster: str) -> bool:
        by_endpoints = self._snapshot.get(ENDPOINTS, cluster) is not None
        return all(
            type_url in self._subscriptions and cluster in self._subscriptions[type_url].in_force
            for type_url in ((CLUSTER, ENDPOINTS) if by_endpoints else (CLUSTER,))
        )

    def _note(self, type_url: str, response: discovery_pb2.DeltaDiscoveryResponse) -> None:
        """What follows from sending something, before Envoy answers."""
        for sent in response.resources:
            if type_url == ROUTES:
                # From now on Envoy may work by what is sent, and until it answers, also by what it had.
                routes = self._snapshot.get(ROUTES, sent.name)
                if routes is not None:
                    self._lead(sent.name, self._leads.get(sent.name, frozenset()) | routes.needs)
            elif type_url == CLUSTER and ENDPOINTS in self._subscriptions:
                self._subscriptions[ENDPOINTS].again(sent.name)

    def _settle(self, type_url: str, outcome: Acknowledgement) -> None:
        if type_url == ROUTES and not outcome.error:
            self._unknown.discard(outcome.name)
            self._lead(outcome.name, outcome.resource.needs if outcome.resource is not None else frozenset())

    def _lead(self, routes: str, clusters: frozenset[str]) -> None:
        before = self._leads.pop(routes, frozenset())
        if clusters:
            self._leads[routes] = clusters
        self._led_to.update(clusters - before)
        self._led_to.subtract(before - clusters)
        for cluster in before - clusters:
            if not self._led_to[cluster]:
                del self._led_to[cluster]
