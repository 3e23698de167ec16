# SPDX-License-Identifier: Apache-2.0
"""Publishes the objects to the gateways: Ingresses, Revisions and Pods -> routing -> xDS resources.

In: informers. Out: resources in the snapshot, which the management server sends to every Envoy, and the status of each
Ingress. Three kinds of keys are reconciled independently: the routes of an Ingress, its status, and the backend of a
revision (cluster and endpoints). This file decides which change wakes which key. Called by: `gateway/gateway.py`.
"""

import asyncio
from collections.abc import Collection
from pathlib import Path

from tidegate.client.context import Context
from tidegate.gateway.publisher.backends import BackendPublisher
from tidegate.gateway.publisher.host_certificates import HostCertificates
from tidegate.gateway.publisher.ingress_status import IngressStatuses
from tidegate.gateway.publisher.listeners import EntryPoints, Listeners
from tidegate.gateway.publisher.routes import RoutePublisher, routing_of
from tidegate.gateway.publisher.sharing import Sharing
from tidegate.gateway.publisher.withdrawals import Withdrawals
from tidegate.model import pods
from tidegate.model.conditions import is_false, is_ready
from tidegate.model.objects import Key, Object, annotations, generation, is_deleting, key
from tidegate.reconcile.queue import WorkQueue
from tidegate.xds.listener import Telemetry
from tidegate.xds.resource import CLUSTER_TYPE, ENDPOINTS_TYPE, ROUTES_TYPE, SCOPE_TYPE, SECRET_TYPE, XdsResource
from tidegate.xds.server import ManagementServer
from tidegate.xds.snapshot import Snapshot

_BATCH = 50  # Ingresses that are published at the start before other tasks get a turn


class Publisher:
    """Keeps the snapshot in line with the objects, and serves it. `gateways`: the ids of the Envoys that an earlier
    control plane has started."""

    def __init__(
        self,
        context: Context,
        xds_socket: Path,
        entry_points: EntryPoints,
        telemetry: Telemetry,
        gateways: Collection[str] = (),
    ) -> None:
        self._informers = context.informers
        snapshot = Snapshot()
        self.listeners = Listeners(snapshot, entry_points, telemetry)
        self.sharing = Sharing(snapshot, context.clock, gateways)
        own = entry_points.certificates
        certificates = HostCertificates(context.informers.secrets, own) if own is not None else None
        self._backends = BackendPublisher(snapshot, context.informers, self.sharing, context.clock)
        self._routes = RoutePublisher(snapshot, context.informers.ingresses, certificates, entry_points.https_port)
        self._server = ManagementServer(xds_socket, snapshot, self._progressed, self._joined, self._left)
        self._statuses = IngressStatuses(context, snapshot, self._routes, self._server)
        self._withdrawals = Withdrawals(snapshot, self._backends, self._server)
        self.announce, self.withdrawn = self._backends.announce, self._withdrawals.withdrawn
        clock = context.clock
        self._route_queue: WorkQueue[Key] = WorkQueue("gateway routes", self._reconcile_routes, clock=clock)
        self._status_queue: WorkQueue[Key] = WorkQueue("gateway statuses", self._reconcile_status, clock=clock)
        self._backend_queue: WorkQueue[Key] = WorkQueue("gateway backends", self._reconcile_backend, clock=clock)
        self._has_begun = False  # the first pass over all objects includes every change before it
        self._informers.ingresses.subscribe(self._on_ingress)
        self._informers.revisions.subscribe(self._on_revision)
        self._informers.pods.subscribe(self._on_pod)
        self._informers.secrets.subscribe(self._on_secret)

    async def run(self) -> None:
        """Publish and serve until cancelled. Gateways get nothing before all existing objects are published."""
        informers = self._informers
        for informer in (informers.ingresses, informers.revisions, informers.pods, informers.secrets):
            await informer.synced()
        await self._publish_all()
        self._server.open()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._server.run(), name="xds server")
            for queue in (self._route_queue, self._status_queue, self._backend_queue):
                group.create_task(queue.run(), name=queue.name)

    async def _publish_all(self) -> None:
        """Publish all existing objects. An Ingress that had a host before keeps it: rejected Ingresses come last, and
        older ones come first."""

        def seniority(obj: Object) -> tuple[bool, str, Key]:
            return is_false(obj), obj["metadata"].get("creationTimestamp", ""), key(obj)

        self._has_begun = True
        for number, obj in enumerate(sorted(self._informers.ingresses.list(), key=seniority)):
            published = self._routes.publish(key(obj))
            self._status_queue.wake(key(obj))
            for revision in published.revisions:
                self._backends.publish(revision)
            if number % _BATCH == 0:
                await asyncio.sleep(0)

    # Reconciles

    async def _reconcile_routes(self, name: Key) -> None:
        published = self._routes.publish(name)
        for other in published.unblocked:
            self._route_queue.wake(other)
        self._statuses.restart(name)
        self._status_queue.wake(name)

    async def _reconcile_status(self, name: Key) -> None:
        seconds = await self._statuses.reconcile(name)
        if seconds is not None:
            self._status_queue.wake_after(name, seconds)

    async def _reconcile_backend(self, revision: Key) -> None:
        self._backends.publish(revision)
        self._withdrawals.check(revision)

    # Changes of objects

    def _on_ingress(self, old: Object | None, new: Object | None) -> None:
        if not self._has_begun or self._statuses.is_own_write(new):
            return
        name = key(new or old or {})
        if _same_spec(old, new):
            self._status_queue.wake(name)
            return
        self._route_queue.wake(name)
        before = routing_of(old).revisions if old is not None else frozenset()
        after = routing_of(new).revisions if new is not None else frozenset()
        for revision in before ^ after:
            self._backend_queue.wake(revision)

    def _on_revision(self, old: Object | None, new: Object | None) -> None:
        if self._has_begun and not _same_spec(old, new):
            self._backend_queue.wake(key(new or old or {}))

    def _on_pod(self, old: Object | None, new: Object | None) -> None:
        revision = pods.revision_key(new or old or {})
        if revision is not None and self._backends.observe(revision, old, new):
            self._backend_queue.wake(revision)

    def _on_secret(self, old: Object | None, new: Object | None) -> None:
        for ingress in self._informers.ingresses.indexed("secret", str(key(new or old or {}))):
            self._route_queue.wake(key(ingress))

    # Changes of gateways

    def _progressed(self, resource: XdsResource) -> None:
        """A gateway acknowledged or rejected a resource."""
        if resource.type in (SCOPE_TYPE, ROUTES_TYPE, SECRET_TYPE):
            self._status_queue.wake(resource.owner)
        elif resource.type == CLUSTER_TYPE:
            for ingress in self._informers.ingresses.indexed("revision", str(resource.owner)):
                if is_false(ingress) or self._server.error(resource):  # else its routes are yet to be acknowledged
                    self._status_queue.wake(key(ingress))
        elif resource.type == ENDPOINTS_TYPE:
            self._withdrawals.check(resource.owner)

    def _joined(self, gateway: str, fresh: bool) -> None:
        self.sharing.joined(gateway, fresh=fresh)

    def _left(self, gateway: str) -> None:
        """A gateway has disconnected: nothing waits for its acknowledgement any longer."""
        self.sharing.left(gateway)
        for ingress in self._informers.ingresses.list():
            if not is_ready(ingress):
                self._status_queue.wake(key(ingress))
        self._withdrawals.check_all()


def _same_spec(old: Object | None, new: Object | None) -> bool:
    """Whether both objects ask for the same; their statuses may differ."""
    if old is None or new is None:
        return False
    same_age = generation(old) == generation(new) and is_deleting(old) == is_deleting(new)
    return same_age and annotations(old) == annotations(new)
