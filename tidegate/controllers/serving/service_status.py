# SPDX-License-Identifier: Apache-2.0
"""A Service's children -> its status. Pure.

In: a Service, its Configuration and its Route. Out: the status. Called by: `service`. Rule: knative/serving
pkg/apis/serving/v1/service_lifecycle.go.

| child | condition of the Service |
| --- | --- |
| Configuration whose controller has not seen the latest spec | ConfigurationsReady Unknown OutOfDate |
| Route whose controller has not seen the latest spec | RoutesReady Unknown OutOfDate |
| Route ready, but its traffic is not yet as the spec wants it | RoutesReady Unknown TrafficNotMigrated |
| an object of the child's name that the Service does not own | False NotOwned |
| child that the API rejects | False CreationFailed or UpdateFailed, with the API's message |
| another owner has the revision name in the template | RoutesReady False RevisionNameTaken; the Route stays |
| Route that waits for a first revision, which has failed | RoutesReady False, with the reason of the failure |
| Route that waits for a first revision, whose probes fail | RoutesReady Unknown, with the probes' answers |

The last two rows are ours: Knative reports RevisionMissing there, and users have to search for the cause.
"""

from collections.abc import Mapping
from datetime import datetime

from tidegate.client.informer import Informer
from tidegate.controllers.serving import traffic
from tidegate.controllers.serving.revision_name import claim
from tidegate.model.conditions import Conditions, is_true
from tidegate.model.objects import Object, is_controlled_by, spec, status
from tidegate.reconcile.lookups import is_outdated
from tidegate.reconcile.verdict import Verdict, mark

CONFIGURATIONS_READY = "ConfigurationsReady"
ROUTES_READY = "RoutesReady"
_CONFIGURATION_FIELDS = ("latestCreatedRevisionName", "latestReadyRevisionName")
_ROUTE_FIELDS = ("url", "address", "traffic")


def observed_status(
    service: Object,
    configuration: Object | None,
    route: Object | None,
    revisions: Informer,
    now: datetime,
    rejected: Mapping[str, Verdict],
) -> Object:
    """The Service's status. `rejected`: verdicts on children that the API rejects, by condition."""
    name = service["metadata"]["name"]
    conditions = Conditions(service, (CONFIGURATIONS_READY, ROUTES_READY), now)
    fields = {
        field: status(service)[field] for field in (*_CONFIGURATION_FIELDS, *_ROUTE_FIELDS) if field in status(service)
    }
    if configuration is None or CONFIGURATIONS_READY in rejected:
        mark(conditions, CONFIGURATIONS_READY, rejected[CONFIGURATIONS_READY])
        return {**fields, "conditions": conditions.conditions()}
    if not is_controlled_by(configuration, service):
        message = f'There is an existing Configuration "{name}" that we do not own.'
        conditions.mark_false(CONFIGURATIONS_READY, "NotOwned", message)
        return {**fields, "conditions": conditions.conditions()}
    if is_outdated(configuration):
        message = "The Configuration is still working to reflect the latest desired specification."
        conditions.mark_unknown(CONFIGURATIONS_READY, "OutOfDate", message)
    else:
        fields = _copied(fields, configuration, _CONFIGURATION_FIELDS)
        mark(conditions, CONFIGURATIONS_READY, Verdict.of(configuration))
    if ROUTES_READY in rejected:
        mark(conditions, ROUTES_READY, rejected[ROUTES_READY])
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
        fields = _copied(fields, route, _ROUTE_FIELDS)
        if is_true(route) and not traffic.is_where_wanted(route, configuration):
            message = "Traffic is not yet migrated to the latest revision."
            conditions.mark_unknown(ROUTES_READY, "TrafficNotMigrated", message)
        else:
            mark(conditions, ROUTES_READY, _route_verdict(route, configuration))
    return fields


def _route_verdict(route: Object, configuration: Object) -> Verdict:
    ready = Verdict.of(route)
    lacks_first = ready.reason == "RevisionMissing" and not status(configuration).get("latestReadyRevisionName")
    cause = Verdict.of(configuration)
    return cause if lacks_first and cause.status != "True" and cause.message else ready


def _copied(fields: Object, child: Object, copied_fields: tuple[str, ...]) -> Object:
    others = {field: value for field, value in fields.items() if field not in copied_fields}
    return {**others, **{field: status(child)[field] for field in copied_fields if field in status(child)}}
