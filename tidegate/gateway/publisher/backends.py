# SPDX-License-Identifier: Apache-2.0
"""Publishes each revision: its cluster, and its instances as the cluster's endpoints.

In: Revisions, Pods and Ingresses, from informers, and announcements of the node agent. Out: resources in the snapshot.
Called by: `publisher.py` whenever one of these changed; `withdrawals.py` before an instance ends.
"""

from dataclasses import replace

from tidegate.client.informers import Informers
from tidegate.gateway.publisher.sharing import Sharing
from tidegate.kit.clock import Clock
from tidegate.model import pods
from tidegate.model.objects import Key, Object, key
from tidegate.reconcile.expectations import Expectations
from tidegate.routing import backend, ingress
from tidegate.routing.table import Backend
from tidegate.xds import cluster
from tidegate.xds.resource import CLUSTER_TYPE, ENDPOINTS_TYPE, packed
from tidegate.xds.snapshot import Snapshot

_NO_ADDRESS = ""


class BackendPublisher:
    """The published revisions."""

    def __init__(self, snapshot: Snapshot, informers: Informers, sharing: Sharing, clock: Clock) -> None:
        self._snapshot = snapshot
        self._ingresses = informers.ingresses
        self._revisions = informers.revisions
        self._pods = informers.pods
        self._sharing = sharing
        self._announced: Expectations[Key, str] = Expectations(clock)  # addresses, by revision and Pod
        self._published: dict[Key, Backend] = {}

    def announce(self, pod: Object, address: str | None) -> None:
        """An instance takes requests at that address from now on (None: it takes none), and its Pod is about to say so.
        Requests that wait for the instance are sent at once. An instance that was announced with None gets nothing new
        until it is announced again, whatever its Pod says."""
        revision, name = pods.revision_key(pod), key(pod)
        if revision is None:
            return
        if address is not None and not pods.is_draining(pod):
            self._announced.expect(revision, address, name)
        elif self._pods.get(name) is not None:
            self._announced.expect(revision, _NO_ADDRESS, name)
        else:
            self._announced.confirm(revision, name)
        self.publish(revision)

    def observe(self, revision: Key, old: Object | None, new: Object | None) -> bool:
        """Note the change of a Pod. Return whether the revision has to be published."""
        if new is None:
            self._announced.confirm(revision, key(old or {}))
            return True
        name = key(new)
        if (pods.is_ready(new) or pods.is_draining(new)) and self._announced.get(revision, name) != _NO_ADDRESS:
            self._announced.confirm(revision, name)
        if old is not None:
            return backend.changed_pod_changes_backend(old, new)
        return backend.new_pod_changes_backend(new, self._published.get(revision))

    def publish(self, revision: Key) -> None:
        """Bring the cluster and the endpoints of one revision in the snapshot up to date."""
        wanted, before = self._wanted(revision), self._published.get(revision)
        if wanted == before:
            return
        name = cluster.cluster_name(revision)
        if wanted is None:
            del self._published[revision]
            self._snapshot.drop(CLUSTER_TYPE, name)
            self._snapshot.drop(ENDPOINTS_TYPE, name)
        else:
            self._published[revision] = wanted
            if before is None or replace(before, endpoints=wanted.endpoints) != wanted:
                self._snapshot.put(packed(name, revision, cluster.build_cluster(revision, wanted)))
            self._snapshot.put(packed(name, revision, cluster.build_endpoints(revision, wanted)))
        self._sharing.publish(revision, wanted)

    def serves(self, revision: Key, address: str) -> bool:
        """Whether an instance of the revision takes new requests at that address."""
        return address in self._addresses(revision) or any(
            pods.is_ready(pod) and pods.endpoint(pod) == address for pod in self._instances(revision)
        )

    def _addresses(self, revision: Key) -> list[str]:
        """Where announced instances take requests."""
        return [address for address in self._announced.all(revision).values() if address != _NO_ADDRESS]

    def _instances(self, revision: Key) -> list[Object]:
        """The Pods of a revision, without Pods that say they are ready although the instance takes no requests."""
        announced = self._announced.all(revision)
        found = self._pods.indexed("revision", str(revision))
        return [pod for pod in found if not (announced.get(key(pod)) == _NO_ADDRESS and pods.is_ready(pod))]

    def _wanted(self, revision: Key) -> Backend | None:
        """The backend of a revision; None for a revision without routes and instances."""
        instances = self._instances(revision)
        routed = any(map(ingress.is_ours, self._ingresses.indexed("revision", str(revision))))
        obj = self._revisions.get(revision)
        if obj is not None and (routed or instances):
            return backend.backend(obj, instances, self._addresses(revision))
        return Backend(unavailable=backend.REVISION_MISSING) if routed else None
