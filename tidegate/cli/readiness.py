# SPDX-License-Identifier: Apache-2.0
"""Follows one change of a Service until it is in effect.

In: the changed Service as the API returned it; its generation is followed. Out: the Service when the change is in
effect, or `NotReady`. Rules, by the Service's conditions for that generation or a later one:

| ConfigurationsReady | RoutesReady | result of `deployed` | result of `routed` |
| --- | --- | --- | --- |
| any, of an earlier generation | any | waiting | waiting |
| False: the revision of this generation failed | any | failed | by the Route |
| Unknown | any | waiting | by the Route |
| True | True | done | done |
| True | Unknown | waiting | waiting |
| True | False RevisionMissing, and traffic follows the latest | waiting: the condition may be outdated | failed |
| True | False | failed | failed |
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass

from tidegate.cli import watching
from tidegate.cli.failures import CommandFailure, shortened
from tidegate.client.cluster import Cluster
from tidegate.model import conditions, kinds
from tidegate.model.objects import Object, generation, key, spec, status

_SHOWN = 300  # characters of a message; the object has the whole message
_REASONS = {
    "OutOfDate": "waiting for the control plane to see the change",
    "Deploying": "starting an instance",
    "RevisionMissing": "waiting for the revision to get traffic",
    "IngressNotConfigured": "waiting for the gateway to accept the new routes",
    "Uninitialized": "waiting for the gateway to accept the new routes",
    "RolloutInReadiness": "moving traffic to the new revision step by step",
    "TrafficNotMigrated": "moving traffic to the new revision",
}


@dataclass(frozen=True, slots=True)
class Readiness:
    """The state of a change. `reason`: why it waits or failed, for the user."""

    state: str  # waiting, failed, done
    reason: str = ""
    by_app: bool = False
    """Whether the reason comes from an instance; then the app's log helps."""


class NotReady(CommandFailure):
    """A change that cannot take effect."""

    def __init__(self, service: Object, reason: str) -> None:
        super().__init__(f"{service['metadata']['name']} is not ready: {reason}")
        self.service = service


_ReadinessOf = Callable[[Object, int], Readiness]
_ReportReadiness = Callable[[Object, Readiness], Awaitable[None]]


def by_line(report: Callable[[str], None]) -> _ReportReadiness:
    """Reports each state as a line."""

    async def report_line(service: Object, readiness: Readiness) -> None:
        report(f"{key(service).name}: {readiness.reason}")

    return report_line


async def unreported(service: Object, readiness: Readiness) -> None:
    """Reports nothing."""


def deployed(service: Object, since: int) -> Readiness:
    """The state of generation `since`: its revision and the traffic of the revision."""
    if status(service).get("observedGeneration", 0) < since:
        return Readiness("waiting", _REASONS["OutOfDate"])
    configuration = _readiness(conditions.condition(service, "ConfigurationsReady"), of_app=True)
    if configuration.state != "done":
        return configuration
    route = conditions.condition(service, "RoutesReady")
    follows = any(not target.get("revisionName") for target in spec(service).get("traffic") or [{}])
    if route.get("reason") == "RevisionMissing" and follows:
        return Readiness("waiting", _REASONS["RevisionMissing"])
    return _readiness(route)


def routed(service: Object, since: int) -> Readiness:
    """The state of generation `since`: its split of traffic."""
    if status(service).get("observedGeneration", 0) < since:
        return Readiness("waiting", _REASONS["OutOfDate"])
    return _readiness(conditions.condition(service, "RoutesReady"))


def _readiness(condition: Object, *, of_app: bool = False) -> Readiness:
    """The state that a condition reports. `of_app`: the condition may repeat the message of an instance."""
    if condition["status"] == "True":
        return Readiness("done")
    reason, message = str(condition.get("reason", "")), shortened(str(condition.get("message", "")), _SHOWN)
    if condition["status"] == "False":
        return Readiness("failed", message or reason or "no reason is given", by_app=of_app)
    by_app = of_app and bool(message) and reason in ("", "Deploying")
    plain = _REASONS.get(reason) or message or _REASONS["Deploying"]
    return Readiness("waiting", message if by_app else plain, by_app)


async def follow(
    cluster: Cluster, changed: Object, readiness_of: _ReadinessOf, seconds: float, report: _ReportReadiness = unreported
) -> Object:
    """The Service when the change is in effect. `report` gets each new state that is not the end. Raises `NotReady`."""
    name, since, last = key(changed), generation(changed), Readiness("waiting")
    try:
        async with asyncio.timeout(seconds), aclosing(watching.states(cluster, kinds.SERVICE, name)) as states:
            async for service in states:
                if service is None or service["metadata"]["uid"] != changed["metadata"]["uid"]:
                    raise CommandFailure(f"{name.name} was deleted")
                readiness = readiness_of(service, since)
                if readiness.state == "done":
                    return service
                if readiness.state == "failed":
                    raise NotReady(service, readiness.reason)
                if readiness != last:
                    last = readiness
                    await report(service, readiness)
    except TimeoutError as error:
        reason = f": {last.reason}" if last.reason else ""
        raise CommandFailure(f"{name.name} is not ready after {seconds:g} s{reason}") from error
    raise RuntimeError("the states of an object ended")
