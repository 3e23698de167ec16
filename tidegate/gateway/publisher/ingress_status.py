# SPDX-License-Identifier: Apache-2.0
"""Writes the status of each Ingress: Ready once every connected gateway has acknowledged its routes.

In: the published resources of an Ingress, and what each Envoy acknowledged or rejected. Out: `status` of the Ingress.
Called by: `publisher.py`.

| the gateways | Ready | reason |
| --- | --- | --- |
| all that are connected have acknowledged this generation | True | |
| have yet to acknowledge it, or none is connected | Unknown | Uninitialized |
| one that is connected has been silent for 10 seconds | Unknown | GatewayNotAcknowledging |
| reject a resource of it, or may not have one | False | RejectedByGateway, HostConflict, CertificateNotUsable |
"""

import asyncio
from datetime import datetime

from tidegate.client.context import Context
from tidegate.gateway.publisher.routes import IngressProblem, RoutePublisher, routing_of
from tidegate.model import errors, kinds
from tidegate.model.conditions import Conditions, is_false, is_ready
from tidegate.model.objects import Key, Object, generation, is_deleting, status
from tidegate.routing import ingress
from tidegate.xds import cluster
from tidegate.xds.resource import CLUSTER_TYPE, SECRET_TYPE
from tidegate.xds.server import ManagementServer
from tidegate.xds.snapshot import Snapshot

ACKNOWLEDGEMENT_SECONDS = 10.0
"""How long a gateway may take to acknowledge an Ingress before the status says that it does not."""

_DEPENDENTS = ("LoadBalancerReady", "NetworkConfigured")


class IngressStatuses:
    """The statuses of all Ingresses of our class."""

    def __init__(self, context: Context, snapshot: Snapshot, routes: RoutePublisher, server: ManagementServer) -> None:
        self._context = context
        self._ingresses = context.informers.ingresses
        self._snapshot = snapshot
        self._routes = routes
        self._server = server
        self._pending_since: dict[Key, float] = {}  # by Ingress that some gateway has yet to acknowledge
        self._written: Object | None = None

    def is_own_write(self, obj: Object | None) -> bool:
        """Whether the informer brings the status that was written last: it needs no reconcile."""
        return obj is not None and obj is self._written

    def restart(self, name: Key) -> None:
        """The Ingress was published again: the gateways have the full time to acknowledge it."""
        self._pending_since.pop(name, None)

    async def reconcile(self, name: Key) -> float | None:
        """Write the status of one Ingress, if it changed. Return in how many seconds to look again, if at all."""
        await asyncio.sleep(0)  # thousands may be reconciled at once; the gateways' streams need a turn in between
        obj = self._ingresses.get(name)
        if obj is None or is_deleting(obj) or not ingress.is_ours(obj):
            self._pending_since.pop(name, None)
            return None
        problem = self._problem(name, obj)
        if problem is None and is_ready(obj):
            return None
        acknowledged = self._is_acknowledged(name)
        pending = problem is None and not acknowledged and self._server.connected
        left = self._seconds_left(name, pending=pending)
        late = left is not None and left <= 0
        observed = observed_status(obj, self._context.clock.wall(), problem, acknowledged=acknowledged, late=late)
        if observed != status(obj):
            if problem is not None and not is_false(obj):
                self._context.recorder.warning(obj, problem.reason, problem.message)
            await self._write({**obj, "status": observed})
        return None if late else left

    async def _write(self, obj: Object) -> None:
        try:
            written = await self._context.cluster.update_status(kinds.INGRESS, obj)
        except (errors.Conflict, errors.NotFound):
            return  # the Ingress has changed; the watch event will wake it
        self._written = written
        self._ingresses.learn(written)

    def _is_acknowledged(self, name: Key) -> bool:
        """Envoy subscribes only to the certificates that clients asked for, so certificates do not count."""
        resources = [each for each in self._routes.resources(name) if each.type != SECRET_TYPE]
        return all(map(self._server.in_force, resources))

    def _seconds_left(self, name: Key, *, pending: bool) -> float | None:
        """How long the gateways may still take to acknowledge an Ingress; None if nothing is pending."""
        if not pending:
            self._pending_since.pop(name, None)
            return None
        now = self._context.clock.monotonic()
        return self._pending_since.setdefault(name, now) + ACKNOWLEDGEMENT_SECONDS - now

    def _problem(self, name: Key, obj: Object) -> IngressProblem | None:
        routing = routing_of(obj)
        problem = self._routes.problem(name, routing)
        if problem is not None:
            return problem
        clusters = [self._snapshot.get(CLUSTER_TYPE, cluster.cluster_name(each)) for each in routing.revisions]
        for resource in (*self._routes.resources(name), *clusters):
            why = self._server.error(resource) if resource is not None else ""
            if why:
                return IngressProblem("RejectedByGateway", why)
        return None


def observed_status(
    obj: Object, now: datetime, problem: IngressProblem | None, *, acknowledged: bool, late: bool
) -> Object:
    """The status of an Ingress. `acknowledged`: by every connected gateway; `late`: one should have done so by now."""
    conditions = Conditions(obj, _DEPENDENTS, now)
    if problem is not None:
        conditions.mark_false("NetworkConfigured", *problem)
    elif acknowledged:
        conditions.mark_true("NetworkConfigured")
        conditions.mark_true("LoadBalancerReady")
    elif late:
        waited = f"{ACKNOWLEDGEMENT_SECONDS:.0f} s"
        message = f"A gateway has not acknowledged the routes for {waited}: it hangs, or is overloaded."
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
