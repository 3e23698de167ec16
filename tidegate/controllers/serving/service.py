# SPDX-License-Identifier: Apache-2.0
"""Service -> Configuration and Route of the same name, and their state back to the Service.

In: a Service. Out: its two children, and a status that joins theirs. Rule: knative/serving pkg/reconciler/service.

| child | the Service says |
| --- | --- |
| Configuration that has not seen the latest spec | ConfigurationsReady Unknown OutOfDate |
| Route that has not seen the latest spec | RoutesReady Unknown OutOfDate |
| Route ready, but traffic not where the spec wants it | RoutesReady Unknown TrafficNotMigrated |
| somebody else's child in the way | False NotOwned |
| child that the API does not take | False CreationFailed or UpdateFailed, with why |
| the revision name that the template asks for is taken | RoutesReady False RevisionNameTaken; the Route stays |
| Route waiting for a first revision, which has failed | RoutesReady False, with the reason of the failure |
| Route waiting for a first revision, whose probes fail | RoutesReady Unknown, with what the probes saw |

The last two rows are ours: Knative says RevisionMissing there, and users have to search for the reason.
"""

from collections.abc import Mapping
from datetime import datetime

from tidegate.client.informer import Informer
from tidegate.controllers.serving import traffic
from tidegate.controllers.serving.configuration import claim
from tidegate.kit.clock import Clock
from tidegate.model import names
from tidegate.model.conditions import Conditions, is_true
from tidegate.model.objects import (
    Key,
    Object,
    annotations,
    is_controlled_by,
    labels,
    listed,
    owner_reference,
    spec,
    status,
)
from tidegate.reconcile.writer import (
    REFUSED_AGAIN,
    ChildRefused,
    Verdict,
    Writer,
    alive,
    heard,
    is_outdated,
    itself,
    mark,
    queue,
    waking,
    without,
)

CONFIGURATIONS_READY = "ConfigurationsReady"
ROUTES_READY = "RoutesReady"
_OF_CONFIGURATION = ("latestCreatedRevisionName", "latestReadyRevisionName")
_OF_ROUTE = ("url", "address", "traffic")


class Services:
    """Reconciles every Service."""

    def __init__(
        self,
        *,
        writer: Writer,
        services: Informer,
        configurations: Informer,
        routes: Informer,
        revisions: Informer,
        clock: Clock,
    ) -> None:
        self._writer = writer
        self._services = services
        self._configurations = configurations
        self._routes = routes
        self._revisions = revisions
        self._clock = clock
        self.work = queue("service", self.reconcile, clock)
        for informer in (services, configurations, routes):
            informer.subscribe(waking(self.work, itself))

    async def reconcile(self, key: Key) -> None:
        """Make one Service's Configuration and Route what its spec asks, then tell how it went."""
        service = alive(self._services, key)
        if service is None:
            return
        configuration = self._configurations.get(key)
        refused = {}
        if configuration is None or is_controlled_by(configuration, service):
            desired = desired_configuration(service, configuration)
            try:
                configuration = await self._writer.ensure_child(service, self._configurations, configuration, desired)
            except ChildRefused as refusal:
                refused[CONFIGURATIONS_READY] = refusal.verdict
        route = self._routes.get(key)
        may_route = configuration is not None and _may_route(service, configuration, self._revisions)
        if may_route and not refused and (route is None or is_controlled_by(route, service)):
            try:
                route = await self._writer.ensure_child(service, self._routes, route, desired_route(service))
            except ChildRefused as refusal:
                refused[ROUTES_READY] = refusal.verdict
        observed = observed_status(service, configuration, route, self._revisions, self._clock.wall(), refused)
        await self._writer.update_status(self._services, service, observed)
        if refused:
            self.work.wake_after(key, REFUSED_AGAIN)


def desired_configuration(service: Object, existing: Object | None = None) -> Object:
    """The Configuration of a Service. Routes that already name it stay in its annotation."""
    own = without(annotations(service), names.LAST_APPLIED, names.MIRROR, *names.ROLLOUT_DURATIONS)
    routes = set(listed(existing, names.ROUTES) if existing is not None else ())
    metadata = service["metadata"]
    return {
        "apiVersion": service["apiVersion"],
        "kind": "Configuration",
        "metadata": {
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "labels": {
                **labels(service),
                names.SERVICE: metadata["name"],
                names.SERVICE_UID: metadata["uid"],
            },
            "annotations": {**own, names.ROUTES: ",".join(sorted({*routes, metadata["name"]}))},
            "ownerReferences": [owner_reference(service)],
        },
        "spec": {"template": spec(service)["template"]},
    }


def desired_route(service: Object) -> Object:
    """The Route of a Service: its targets, with the Service's own Configuration where no revision is named."""
    metadata = service["metadata"]
    own = without(annotations(service), names.LAST_APPLIED)
    return {
        "apiVersion": service["apiVersion"],
        "kind": "Route",
        "metadata": {
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "labels": {**labels(service), names.SERVICE: metadata["name"]},
            **({"annotations": own} if own else {}),
            "ownerReferences": [owner_reference(service)],
        },
        "spec": {
            "traffic": [
                target if target.get("revisionName") else {**target, "configurationName": metadata["name"]}
                for target in spec(service).get("traffic") or ()
            ]
        },
    }


def _may_route(service: Object, configuration: Object, revisions: Informer) -> bool:
    """Traffic may not reach a revision by its name before that name is known to be this Service's own."""
    if not is_controlled_by(configuration, service):
        return False
    named = bool(spec(configuration)["template"].get("metadata", {}).get("name"))
    return not (named and is_outdated(configuration)) and not claim(configuration, revisions).taken


def observed_status(
    service: Object,
    configuration: Object | None,
    route: Object | None,
    revisions: Informer,
    now: datetime,
    refused: Mapping[str, Verdict],
) -> Object:
    """The Service's status from those of its children. `refused`: what is said of children that the API does not take,
    by condition."""
    name = service["metadata"]["name"]
    conditions = Conditions(service, (CONFIGURATIONS_READY, ROUTES_READY), now)
    fields = {field: status(service)[field] for field in (*_OF_CONFIGURATION, *_OF_ROUTE) if field in status(service)}
    if configuration is None or CONFIGURATIONS_READY in refused:
        mark(conditions, CONFIGURATIONS_READY, refused[CONFIGURATIONS_READY])
        return {**fields, "conditions": conditions.conditions()}
    if not is_controlled_by(configuration, service):
        message = f'There is an existing Configuration "{name}" that we do not own.'
        conditions.mark_false(CONFIGURATIONS_READY, "NotOwned", message)
        return {**fields, "conditions": conditions.conditions()}
    if is_outdated(configuration):
        message = "The Configuration is still working to reflect the latest desired specification."
        conditions.mark_unknown(CONFIGURATIONS_READY, "OutOfDate", message)
    else:
        fields = _taken_over(fields, configuration, _OF_CONFIGURATION)
        mark(conditions, CONFIGURATIONS_READY, heard(configuration))
    if ROUTES_READY in refused:
        mark(conditions, ROUTES_READY, refused[ROUTES_READY])
    elif claim(configuration, revisions).taken:
        named = spec(configuration)["template"]["metadata"]["name"]
        message = f'The revision name "{named}" is taken by a conflicting Revision, so traffic will not be migrated'
        conditions.mark_false(ROUTES_READY, "RevisionNameTaken", message)
    elif route is not None:
        fields = _mark_route(conditions, fields, service, configuration, route)
    return {**fields, "conditions": conditions.conditions()}


def _mark_route(
    conditions: Conditions, fields: Object, service: Object, configuration: Object, route: Object
) -> Object:
    if not is_controlled_by(route, service):
        message = f'There is an existing Route "{route["metadata"]["name"]}" that we do not own.'
        conditions.mark_false(ROUTES_READY, "NotOwned", message)
    elif is_outdated(route):
        message = "The Route is still working to reflect the latest desired specification."
        conditions.mark_unknown(ROUTES_READY, "OutOfDate", message)
    else:
        fields = _taken_over(fields, route, _OF_ROUTE)
        if is_true(route) and not traffic.is_where_wanted(route, configuration):
            message = "Traffic is not yet migrated to the latest revision."
            conditions.mark_unknown(ROUTES_READY, "TrafficNotMigrated", message)
        else:
            mark(conditions, ROUTES_READY, _route_verdict(route, configuration))
    return fields


def _route_verdict(route: Object, configuration: Object) -> Verdict:
    said = heard(route)
    lacks_first = said.reason == "RevisionMissing" and not status(configuration).get("latestReadyRevisionName")
    why = heard(configuration)
    return why if lacks_first and why.status != "True" and why.message else said


def _taken_over(fields: Object, child: Object, of_child: tuple[str, ...]) -> Object:
    others = {field: value for field, value in fields.items() if field not in of_child}
    return {**others, **{field: status(child)[field] for field in of_child if field in status(child)}}
