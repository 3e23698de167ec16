# SPDX-License-Identifier: Apache-2.0
"""What the gateways are to do, from the objects: Ingress, Revision and Pods -> routing -> xDS resources.

In: informers. Out: resources in the snapshot, which the management server brings to every Envoy, and the status of each
Ingress once they are in force. Three kinds of keys are reconciled apart: an Ingress's routes, its status, and a
revision (its cluster and endpoints). Who: `embedded.py`; `load.py` asks `withdrawn`.
"""

import asyncio
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from tidegate.client.cluster import Cluster
from tidegate.client.events import Recorder
from tidegate.client.informer import Informer
from tidegate.gateway import certificates
from tidegate.gateway.listeners import Listener, Listeners
from tidegate.gateway.sharing import Sharing
from tidegate.gateway.tls import OwnCertificates
from tidegate.kit.clock import Clock
from tidegate.model import errors, kinds, pods
from tidegate.model.conditions import Conditions, is_false, is_ready
from tidegate.model.config.gateway import GatewayConfig
from tidegate.model.objects import Key, Object, annotations, generation, is_deleting, key, status
from tidegate.reconcile.queue import Work
from tidegate.routing import backend, ingress
from tidegate.routing.table import Backend, Certificate, Routing
from tidegate.xds import cluster, listener, route
from tidegate.xds.resource import CLUSTER, ENDPOINTS, ROUTES, SCOPE, SECRET, Resource, packed
from tidegate.xds.server import ManagementServer
from tidegate.xds.snapshot import Snapshot
from tidegate.xds.tracing import Tracing

_PATIENCE = 10.0  # seconds that a gateway may take for a change before its Ingress says that it does not answer
_AT_ONCE = 50  # Ingresses that are taken in between two pauses
_DEPENDENTS = ("LoadBalancerReady", "NetworkConfigured")


class Publisher:
    """Keeps the snapshot in line with the objects, and serves it. `https_port`: where redirects lead. `own`: the
    certificates of hosts that name none, None where nobody is shown any. `access_log`, `tracing`: as
    `listeners.configure` takes them, until it is called. `gateways`: the ids of those that were there before."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        ingresses: Informer,
        revisions: Informer,
        pods: Informer,
        secrets: Informer,
        listeners: Sequence[Listener],
        xds_socket: Path,
        gate_socket: Path,
        https_port: int,
        recorder: Recorder,
        clock: Clock,
        own: OwnCertificates | None = None,
        access_log: Path | None = None,
        tracing: Tracing | None = None,
        gateways: Collection[str] = (),
    ) -> None:
        self._cluster = cluster
        self._ingresses = ingresses
        self._revisions = revisions
        self._pods = pods
        self._secrets = secrets
        self._own = own
        self._https_port = https_port
        self._recorder = recorder
        self._clock = clock
        self._snapshot = Snapshot()
        self.sharing = Sharing(self._snapshot, clock, gateways)
        self.listeners = Listeners(self._snapshot, listeners, gate_socket, own.nameless() if own is not None else None)
        self._server = ManagementServer(xds_socket, self._snapshot, self._progressed, self._joined, self._left)
        self._routes: Work[Key] = Work("gateway routes", self.reconcile, clock=clock)
        self._statuses: Work[Key] = Work("gateway statuses", self.reconcile_status, clock=clock)
        self._backends: Work[Key] = Work("gateway backends", self.reconcile_backend, clock=clock)
        self._put: dict[Key, dict[tuple[str, str], Resource]] = {}  # by Ingress
        self._hosts: dict[str, Key] = {}  # host -> the Ingress that has it
        self._losers: dict[str, set[Key]] = {}  # host -> Ingresses that want it too
        self._published: dict[Key, Backend] = {}  # by revision, as it is in the snapshot
        self._announced: dict[Key, dict[Key, str]] = {}  # by revision and Pod: addresses that no status has told yet
        self._revoked: set[Key] = set()  # Pods that were announced to be nowhere, and may still say that they are ready
        self._begun = False  # whether all that there is is being taken in; what was heard before is part of it
        self._unanswered: dict[Key, float] = {}  # by Ingress, since when gateways have yet to acknowledge it
        self._written: Object | None = None  # the Ingress whose status was written last: it needs no other look
        self._waiting: dict[Key, set[asyncio.Event]] = {}  # of those that ask what is withdrawn, by revision
        self.listeners.configure(access_log, tracing, GatewayConfig())
        ingresses.subscribe(self._on_ingress)
        revisions.subscribe(self._on_revision)
        pods.subscribe(self._on_pod)
        secrets.subscribe(self._on_secret)

    async def run(self) -> None:
        """Publish and serve until cancelled. Gateways hear nothing before all that there is has been taken in."""
        for informer in (self._ingresses, self._revisions, self._pods, self._secrets):
            await informer.synced()
        await self._build_all()
        self._server.open()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._server.run(), name="xds server")
            for work in (self._routes, self._statuses, self._backends):
                group.create_task(work.run(), name=work.name)

    def announce(self, pod: Object, address: str | None) -> None:
        """An instance takes requests at that address from now on (None: nowhere), and its Pod is about to say so. A
        request that waits for it goes on meanwhile. One that was announced to be nowhere gets nothing until it is
        announced again, whatever its Pod still says."""
        revision = pods.revision_key(pod)
        if revision is None:
            return
        if address is not None and not pods.is_draining(pod):  # one that comes too late gets nothing new any more
            self._announced.setdefault(revision, {})[key(pod)] = address
            self._revoked.discard(key(pod))
        else:
            self._unannounce(revision, key(pod))
            if self._pods.get(key(pod)) is not None:
                self._revoked.add(key(pod))
        self._build_backend(revision)

    def _unannounce(self, revision: Key, pod: Key) -> None:
        announced = self._announced.get(revision, {})
        announced.pop(pod, None)
        if not announced:
            self._announced.pop(revision, None)

    async def withdrawn(self, revision: Key, address: str) -> None:
        """Return once no gateway sends anything new to an instance that is draining or gone."""
        self._build_backend(revision)
        news = asyncio.Event()
        waiting = self._waiting.setdefault(revision, set())
        waiting.add(news)
        try:
            while not self._is_withdrawn(revision, address):
                news.clear()
                await news.wait()
        finally:
            waiting.discard(news)
            if not waiting:
                self._waiting.pop(revision, None)

    def _is_withdrawn(self, revision: Key, address: str) -> bool:
        instances = self._instances(revision)
        if any(pods.is_ready(pod) and pods.endpoint(pod) == address for pod in instances):
            return False
        if address in self._announced.get(revision, {}).values():
            return False
        resource = self._snapshot.get(ENDPOINTS, cluster.cluster_name(revision))
        return resource is None or not self._server.connected or self._server.in_force(resource)

    # What wakes which key

    def _on_ingress(self, old: Object | None, new: Object | None) -> None:
        if not self._begun or (new is not None and new is self._written):
            return
        name = key(new or old or {})
        if _is_same(old, new):
            self._statuses.wake(name)
            return
        self._routes.wake(name)
        before = _routing(old).revisions if old is not None else frozenset()
        after = _routing(new).revisions if new is not None else frozenset()
        for revision in before ^ after:
            self._backends.wake(revision)

    def _on_revision(self, old: Object | None, new: Object | None) -> None:
        if not self._begun or _is_same(old, new):
            return  # of a revision only its spec counts here
        self._backends.wake(key(new or old or {}))

    def _on_pod(self, old: Object | None, new: Object | None) -> None:
        revision = pods.revision_key(new or old or {})
        if revision is None:
            return
        if new is None:
            self._revoked.discard(key(old or {}))
        if new is None or pods.is_ready(new) or pods.is_draining(new):
            self._unannounce(revision, key(new or old or {}))
        if new is None or (
            backend.changed_pod_changes_backend(old, new)
            if old is not None
            else backend.new_pod_changes_backend(new, self._published.get(revision))
        ):
            self._backends.wake(revision)

    def _on_secret(self, old: Object | None, new: Object | None) -> None:
        for naming in self._ingresses.indexed("secret", str(key(new or old or {}))):
            self._routes.wake(key(naming))

    def _progressed(self, resource: Resource) -> None:
        """Something of an Ingress or a revision came into force at a gateway, or was rejected."""
        if resource.type in (SCOPE, ROUTES, SECRET):
            self._statuses.wake(resource.owner)
        elif resource.type == CLUSTER:
            for routed in self._ingresses.indexed("revision", str(resource.owner)):
                if is_false(routed) or self._server.error(resource):  # else its routes are yet to come
                    self._statuses.wake(key(routed))
        elif resource.type == ENDPOINTS:
            self._tell_waiting(resource.owner)

    def _joined(self, gateway: str, fresh: bool) -> None:
        self.sharing.joined(gateway, fresh=fresh)

    def _left(self, gateway: str) -> None:
        """A gateway is gone: what waited for it alone waits no more."""
        self.sharing.left(gateway)
        for obj in self._ingresses.list():
            if not is_ready(obj):
                self._statuses.wake(key(obj))
        for revision in self._waiting:
            self._tell_waiting(revision)

    def _tell_waiting(self, revision: Key) -> None:
        for news in self._waiting.get(revision, ()):
            news.set()

    # Ingresses

    async def _build_all(self) -> None:
        """Take in all that there is, with a pause for others now and then. Whoever had a host keeps it."""

        def seniority(obj: Object) -> tuple[bool, str, Key]:
            return is_false(obj), obj["metadata"].get("creationTimestamp", ""), key(obj)

        self._begun = True
        for number, obj in enumerate(sorted(self._ingresses.list(), key=seniority)):
            routing = self._build(key(obj))
            self._statuses.wake(key(obj))
            for revision in routing.revisions:
                self._build_backend(revision)
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)

    async def reconcile(self, name: Key) -> None:
        """Publish one Ingress."""
        self._build(name)
        self._unanswered.pop(name, None)
        self._statuses.wake(name)

    async def reconcile_status(self, name: Key) -> None:
        """Tell whether the gateways obey an Ingress."""
        await asyncio.sleep(0)  # thousands may have a turn at once, and gateways are not to wait for them
        obj = self._ingresses.get(name)
        if obj is None or is_deleting(obj) or not ingress.is_ours(obj):
            self._unanswered.pop(name, None)
            return
        # Gateways have those certificates that clients asked for.
        resources = [each for each in self._put.get(name, {}).values() if each.type != SECRET]
        problem = self._problem(name, obj)
        if problem is None and is_ready(obj):
            return
        obeyed = all(map(self._server.in_force, resources))
        late = self._is_late(name, pending=problem is None and not obeyed and self._server.connected)
        observed = observed_status(obj, self._clock.wall(), problem, obeyed, late)
        if observed == status(obj):
            return
        if problem is not None and not is_false(obj):
            self._recorder.warning(obj, problem.reason, problem.message)
        try:
            written = await self._cluster.update_status(kinds.INGRESS, {**obj, "status": observed})
        except (errors.Conflict, errors.NotFound):
            return  # it is another by now, and the watch is about to say so
        self._written = written
        self._ingresses.learn(written)

    def _is_late(self, name: Key, *, pending: bool) -> bool:
        """Whether a gateway that is there has long been silent about an Ingress, which may not say so before."""
        if not pending:
            self._unanswered.pop(name, None)
            return False
        now = self._clock.monotonic()
        left = self._unanswered.setdefault(name, now) + _PATIENCE - now
        if left > 0:
            self._statuses.wake_after(name, left)
        return left <= 0

    def _build(self, name: Key) -> Routing:
        """Put what one Ingress routes into the snapshot, and take out what it no longer does."""
        obj = self._ingresses.get(name)
        routing = _routing(obj) if obj is not None and not is_deleting(obj) else Routing(())
        wanted = {(each.type, each.name): each for each in self._resources(name, routing)}
        before = self._put.pop(name, {})
        if wanted:
            self._put[name] = wanted
        for type_url, gone in before.keys() - wanted.keys():
            self._take_out(type_url, gone, name)
        for resource in wanted.values():
            self._snapshot.put(resource)
        return routing

    def _resources(self, name: Key, routing: Routing) -> Iterator[Resource]:
        rules = routing.rules
        if not rules:
            return
        https_port = self._https_port if routing.redirects else None
        needs = frozenset(cluster.cluster_name(revision) for rule in rules for revision in rule.served)
        yield packed(str(name), name, route.build_routes(str(name), rules, https_port), needs)
        for host in [host for rule in rules for host in rule.hosts]:
            if self._claim(host, name):
                yield packed(host, name, route.build_scope(host, str(name)), needs)
        if self._own is not None:
            brought = {host: entry for entry in reversed(routing.certificates) for host in entry.hosts}
            for host in [host for rule in routing.public for host in rule.hosts if self._hosts[host] == name]:
                found = self._pair(brought[host]) if host in brought else ""
                pair = found if isinstance(found, certificates.Pair) else self._own.of(host)
                yield packed(host, name, listener.build_secret(host, *pair))

    def _pair(self, entry: Certificate) -> certificates.Pair | str:
        """What an Ingress names as a certificate, or why it is none."""
        return certificates.pair(entry.secret, self._secrets.get(entry.secret))

    def _claim(self, host: str, name: Key) -> bool:
        """Whether the Ingress has that host: the first that asks for it, until it lets go."""
        owner = self._hosts.setdefault(host, name)
        if owner != name:
            self._losers.setdefault(host, set()).add(name)
        return owner == name

    def _take_out(self, type_url: str, gone: str, name: Key) -> None:
        """What is given up by one Ingress, of which others may want the hosts."""
        self._snapshot.drop(type_url, gone)
        if type_url == SCOPE:
            del self._hosts[gone]
            for other in self._losers.pop(gone, set()) - {name}:
                self._routes.wake(other)

    def _problem(self, name: Key, obj: Object) -> "_Problem | None":
        """Why an Ingress is not obeyed: a host that another one has, or an Envoy that rejects it."""
        routing = _routing(obj)
        for host in [host for rule in routing.rules for host in rule.hosts]:
            owner = self._hosts.get(host, name)
            if owner != name:
                return _Problem("HostConflict", f'Host "{host}" is already served by Ingress "{owner}".')
        for entry in routing.certificates:
            found = self._pair(entry) if self._own is not None else None
            if isinstance(found, str):
                return _Problem("CertificateNotUsable", found)
        of_backends = [self._snapshot.get(CLUSTER, cluster.cluster_name(each)) for each in routing.revisions]
        for resource in (*self._put.get(name, {}).values(), *of_backends):
            why = self._server.error(resource) if resource is not None else ""
            if why:
                return _Problem("RejectedByGateway", why)
        return None

    # Revisions

    async def reconcile_backend(self, revision: Key) -> None:
        """Publish one revision's cluster and endpoints."""
        self._build_backend(revision)
        self._tell_waiting(revision)

    def _build_backend(self, revision: Key) -> None:
        name = cluster.cluster_name(revision)
        found = self._backend(revision)
        if found == self._published.get(revision):
            return
        if found is None:
            del self._published[revision]
            self._snapshot.drop(CLUSTER, name)
            self._snapshot.drop(ENDPOINTS, name)
        else:
            before = self._published.get(revision)
            self._published[revision] = found
            if before is None or replace(before, endpoints=found.endpoints) != found:
                message = cluster.build_cluster(revision, found)
                self._snapshot.put(packed(name, revision, message))
            self._snapshot.put(packed(name, revision, cluster.build_endpoints(revision, found)))
        self.sharing.publish(revision, found)

    def _instances(self, revision: Key) -> list[Object]:
        """Its Pods, without those that say they are ready and are known not to be."""
        found = self._pods.indexed("revision", str(revision))
        return [pod for pod in found if not (key(pod) in self._revoked and pods.is_ready(pod))]

    def _backend(self, revision: Key) -> Backend | None:
        """What the gateways are to know of a revision; nothing of one without traffic and without instances."""
        instances = self._instances(revision)
        routed = any(map(ingress.is_ours, self._ingresses.indexed("revision", str(revision))))
        obj = self._revisions.get(revision)
        if obj is not None and (routed or instances):
            return backend.backend(obj, instances, self._announced.get(revision, {}).values())
        return Backend(unavailable=backend.REVISION_MISSING) if routed else None


def _is_same(old: Object | None, new: Object | None) -> bool:
    """Whether both ask for the same, though their status may differ."""
    if old is None or new is None:
        return False
    same_age = generation(old) == generation(new) and is_deleting(old) == is_deleting(new)
    return same_age and annotations(old) == annotations(new)


class _Problem(NamedTuple):
    reason: str
    message: str


def observed_status(obj: Object, now: datetime, problem: _Problem | None, obeyed: bool, late: bool) -> Object:
    """The Ingress's status: ready once every gateway works by this generation of it. `late`: one should by now."""
    conditions = Conditions(obj, _DEPENDENTS, now)
    if problem is not None:
        conditions.mark_false("NetworkConfigured", *problem)
    elif obeyed:
        conditions.mark_true("NetworkConfigured")
        conditions.mark_true("LoadBalancerReady")
    elif late:
        message = f"A gateway has not acknowledged the routes for {_PATIENCE:.0f} s: it hangs, or is overloaded."
        conditions.mark_unknown("NetworkConfigured", "GatewayNotAcknowledging", message)
        conditions.mark_unknown("LoadBalancerReady", "GatewayNotAcknowledging", message)
    else:
        message = "Waiting for the gateways to be configured."
        conditions.mark_unknown("NetworkConfigured", "Uninitialized", message)
        conditions.mark_unknown("LoadBalancerReady", "Uninitialized", "Waiting for load balancer to be ready")
    balancer = {"ingress": [{"meshOnly": False, "domainInternal": "gateway.tidegate.svc.cluster.local"}]}
    return {
        "conditions": conditions.conditions(),
        "observedGeneration": generation(obj),
        "publicLoadBalancer": balancer,
        "privateLoadBalancer": balancer,
    }


def _routing(obj: Object) -> Routing:
    return ingress.routing(obj) if ingress.is_ours(obj) else Routing(())
