# SPDX-License-Identifier: Apache-2.0
"""Publishes each Ingress: its routes, the scopes of its hosts and their certificates.

In: Ingresses and Secrets, from informers. Out: resources in the snapshot. Called by: `publisher.py` whenever an Ingress
or a Secret that it names changed; `ingress_status.py` for the status.
"""

from collections.abc import Collection, Iterator
from typing import NamedTuple

from tidegate.client.informer import Informer
from tidegate.gateway.publisher.host_certificates import HostCertificates
from tidegate.gateway.publisher.hosts import HostOwners
from tidegate.model.objects import Key, Object, is_deleting
from tidegate.routing import ingress
from tidegate.routing.table import Routing
from tidegate.xds import cluster, listener, route
from tidegate.xds.resource import SCOPE_TYPE, XdsResource, packed
from tidegate.xds.snapshot import Snapshot

_Name = tuple[str, str]  # a resource's type and name


class IngressProblem(NamedTuple):
    """Why an Ingress is not in effect: reason and message of its condition."""

    reason: str
    message: str


class PublishedIngress(NamedTuple):
    """`revisions`: all that the Ingress routes to. `unblocked`: other Ingresses, which may claim a host that this one
    has released."""

    revisions: frozenset[Key]
    unblocked: Collection[Key]


class RoutePublisher:
    """The published Ingresses. `certificates`: None for a gateway without HTTPS."""

    def __init__(
        self, snapshot: Snapshot, ingresses: Informer, certificates: HostCertificates | None, https_port: int
    ) -> None:
        self._snapshot = snapshot
        self._ingresses = ingresses
        self._certificates = certificates
        self._https_port = https_port
        self._hosts = HostOwners()
        self._published: dict[Key, dict[_Name, XdsResource]] = {}  # by Ingress

    def publish(self, name: Key) -> PublishedIngress:
        """Put the resources of one Ingress into the snapshot, and remove the resources that it no longer has."""
        obj = self._ingresses.get(name)
        routing = routing_of(obj) if obj is not None and not is_deleting(obj) else Routing(())
        wanted = {(each.type, each.name): each for each in self._build(name, routing)}
        before = self._published.pop(name, {})
        if wanted:
            self._published[name] = wanted
        unblocked: set[Key] = set()
        for removed in before.keys() - wanted.keys():
            unblocked |= self._remove(*removed)
        for resource in wanted.values():
            self._snapshot.put(resource)
        return PublishedIngress(routing.revisions, unblocked)

    def resources(self, name: Key) -> Collection[XdsResource]:
        """The resources of one Ingress in the snapshot."""
        return self._published.get(name, {}).values()

    def problem(self, name: Key, routing: Routing) -> IngressProblem | None:
        """A host that another Ingress owns, or a Secret that cannot be used."""
        for host in [host for rule in routing.rules for host in rule.hosts]:
            owner = self._hosts.owner(host)
            if owner not in (None, name):
                return IngressProblem("HostConflict", f'Host "{host}" is already served by Ingress "{owner}".')
        why = self._certificates.problem(routing) if self._certificates is not None else ""
        return IngressProblem("CertificateNotUsable", why) if why else None

    def _build(self, name: Key, routing: Routing) -> Iterator[XdsResource]:
        rules = routing.rules
        if not rules:
            return
        https_port = self._https_port if routing.redirects else None
        needs = frozenset(cluster.cluster_name(revision) for rule in rules for revision in rule.served)
        yield packed(str(name), name, route.build_routes(str(name), rules, https_port), needs)
        for host in [host for rule in rules for host in rule.hosts]:
            if self._hosts.claim(host, name):
                yield packed(host, name, route.build_scope(host, str(name)), needs)
        if self._certificates is not None:
            for host in [host for rule in routing.public for host in rule.hosts if self._hosts.owner(host) == name]:
                yield packed(host, name, listener.build_secret(host, *self._certificates.of(host, routing)))

    def _remove(self, type_url: str, name: str) -> set[Key]:
        self._snapshot.drop(type_url, name)
        return self._hosts.release(name) if type_url == SCOPE_TYPE else set()


def routing_of(obj: Object) -> Routing:
    """The routing of an Ingress; empty for an Ingress of another class."""
    return ingress.routing(obj) if ingress.is_ours(obj) else Routing(())
