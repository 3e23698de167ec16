# SPDX-License-Identifier: Apache-2.0
"""Route -> Ingress, and the state of the gateway back to the Route.

In: a Route, the Configurations and Revisions of its targets, its Ingress. Out: the Ingress (`route_plan`), and the
Route's status (`route_status`). Called by: `Controllers`. Rule: knative/serving pkg/reconciler/route.
"""

from collections.abc import Sequence
from dataclasses import replace

from tidegate.client.context import Context
from tidegate.controllers.serving import rollout
from tidegate.controllers.serving.route_plan import PortOf, RouteInputs, nanoseconds, planned
from tidegate.controllers.serving.route_status import observed_status
from tidegate.model import names
from tidegate.model.objects import Key, Object, key, labels
from tidegate.reconcile.lookups import live_object, own_key, waking
from tidegate.reconcile.object_queue import object_queue
from tidegate.reconcile.rejections import RETRY_REJECTED_SECONDS
from tidegate.reconcile.writer import ChildRejected, ObjectWriter


class Routes:
    """Reconciles every Route."""

    def __init__(self, context: Context, writer: ObjectWriter, port_of: PortOf) -> None:
        self._writer = writer
        self._routes = context.informers.routes
        self._configurations = context.informers.configurations
        self._revisions = context.informers.revisions
        self._ingresses = context.informers.ingresses
        self._configs = context.configs
        self._port_of = port_of
        self._clock = context.clock
        self.work = object_queue("route", self.reconcile, context.clock)
        self._routes.subscribe(waking(self.work, own_key))
        self._ingresses.subscribe(waking(self.work, own_key))
        self._configurations.subscribe(waking(self.work, lambda obj: self._with_target("configuration", key(obj))))
        self._revisions.subscribe(waking(self.work, self._with_revision))

    def _with_target(self, kind: str, name: Key) -> Sequence[Key]:
        return [key(route) for route in self._routes.indexed("target", f"{kind}/{name}")]

    def _with_revision(self, revision: Object) -> Sequence[Key]:
        """The Routes with a revision, or its Configuration, among their targets."""
        configuration = Key(revision["metadata"]["namespace"], labels(revision).get(names.CONFIGURATION, ""))
        return [*self._with_target("revision", key(revision)), *self._with_target("configuration", configuration)]

    def wake_all(self) -> None:
        """Reconcile every Route, because hosts or the pace of rollouts have changed."""
        for route in self._routes.list():
            self.work.wake(key(route))

    async def reconcile(self, key: Key) -> None:
        """Create or align one Route's Ingress, then report the state of its traffic."""
        route = live_object(self._routes, key)
        if route is None:
            return
        inputs = RouteInputs(route, self._configs.current, self._port_of, self._clock.wall())
        existing = self._ingresses.get(key)
        plan = planned(inputs, self._configurations.get, self._revisions.get, existing)
        ingress = None
        if plan.ingress is not None:
            try:
                ingress = await self._writer.ensure_child(route, self._ingresses, existing, plan.ingress)
            except ChildRejected as rejection:
                plan = replace(plan, obstacle=rejection.verdict)
                self.work.wake_after(key, RETRY_REJECTED_SECONDS)
        if plan.due is not None:
            self.work.wake_after(key, max(0, plan.due - nanoseconds(inputs.now)) / rollout.SECOND)
        await self._writer.update_status(self._routes, route, observed_status(inputs, plan, ingress))
