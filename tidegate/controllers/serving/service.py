# SPDX-License-Identifier: Apache-2.0
"""Service -> Configuration and Route of the same name, and their state back to the Service.

In: a Service. Out: its two children (`service_children`), and a status that joins theirs (`service_status`). Called by:
`Controllers`. Rule: knative/serving pkg/reconciler/service.
"""

from tidegate.client.context import Context
from tidegate.client.informer import Informer
from tidegate.controllers.serving.revision_name import claim
from tidegate.controllers.serving.service_children import desired_configuration, desired_route
from tidegate.controllers.serving.service_status import CONFIGURATIONS_READY, ROUTES_READY, observed_status
from tidegate.model.objects import Key, Object, is_controlled_by, spec
from tidegate.reconcile.lookups import is_outdated, live_object, own_key, waking
from tidegate.reconcile.object_queue import object_queue
from tidegate.reconcile.rejections import RETRY_REJECTED_SECONDS
from tidegate.reconcile.writer import ChildRejected, ObjectWriter


class Services:
    """Reconciles every Service."""

    def __init__(self, context: Context, writer: ObjectWriter) -> None:
        self._writer = writer
        self._services = context.informers.services
        self._configurations = context.informers.configurations
        self._routes = context.informers.routes
        self._revisions = context.informers.revisions
        self._clock = context.clock
        self.work = object_queue("service", self.reconcile, context.clock)
        for informer in (self._services, self._configurations, self._routes):
            informer.subscribe(waking(self.work, own_key))

    async def reconcile(self, key: Key) -> None:
        """Create or align one Service's Configuration and Route, then report their state."""
        service = live_object(self._services, key)
        if service is None:
            return
        configuration = self._configurations.get(key)
        rejected = {}
        if configuration is None or is_controlled_by(configuration, service):
            desired = desired_configuration(service, configuration)
            try:
                configuration = await self._writer.ensure_child(service, self._configurations, configuration, desired)
            except ChildRejected as rejection:
                rejected[CONFIGURATIONS_READY] = rejection.verdict
        route = self._routes.get(key)
        may_route = configuration is not None and _may_route(service, configuration, self._revisions)
        if may_route and not rejected and (route is None or is_controlled_by(route, service)):
            try:
                route = await self._writer.ensure_child(service, self._routes, route, desired_route(service))
            except ChildRejected as rejection:
                rejected[ROUTES_READY] = rejection.verdict
        observed = observed_status(service, configuration, route, self._revisions, self._clock.wall(), rejected)
        await self._writer.update_status(self._services, service, observed)
        if rejected:
            self.work.wake_after(key, RETRY_REJECTED_SECONDS)


def _may_route(service: Object, configuration: Object, revisions: Informer) -> bool:
    """Whether traffic may be routed: not to a revision name in the template before the name is known to be this
    Service's own."""
    if not is_controlled_by(configuration, service):
        return False
    named = bool(spec(configuration)["template"].get("metadata", {}).get("name"))
    return not (named and is_outdated(configuration)) and not claim(configuration, revisions).taken
