# SPDX-License-Identifier: Apache-2.0
"""Following one change of a Service until it is in force.

In: the Service as the API answered the change, whose generation is followed. Out: the Service once the change is in
force, or `NotReady`. Rules, by what the Service says of that generation or a later one:

| Ready of the Configuration | of the Route | of `deployed` | of `routed` |
| --- | --- | --- | --- |
| any, of an earlier generation | any | waiting | waiting |
| False: the revision of this generation failed | any | failed | by the Route |
| Unknown | any | waiting | by the Route |
| True | True | done | done |
| True | Unknown | waiting | waiting |
| True | False RevisionMissing, and traffic follows the latest | waiting: it may be of the one before | failed |
| True | False | failed | failed |
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass

from tidegate.cli import watching
from tidegate.cli.problems import Problem, shortened
from tidegate.client.cluster import Cluster
from tidegate.model import kinds
from tidegate.model.conditions import condition
from tidegate.model.objects import Object, generation, key, spec, status

_SHOWN = 300  # characters of a message; the object has all of it
_WORDS = {
    "OutOfDate": "waiting for the control plane to see the change",
    "Deploying": "starting an instance",
    "RevisionMissing": "waiting for the revision to take traffic",
    "IngressNotConfigured": "waiting for the gateway to take the new routes",
    "Uninitialized": "waiting for the gateway to take the new routes",
    "RolloutInProgress": "moving traffic to the new revision step by step",
    "TrafficNotMigrated": "moving traffic to the new revision",
}


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a change is. `why`: what it waits for or failed of, in plain words."""

    state: str  # waiting, failed, done
    why: str = ""
    by_app: bool = False
    """Whether the instance says so: then what the app wrote helps."""


class NotReady(Problem):
    """A change that cannot come into force as it is."""

    def __init__(self, service: Object, why: str) -> None:
        super().__init__(f"{service['metadata']['name']} is not ready: {why}")
        self.service = service


Decide = Callable[[Object, int], Progress]
Report = Callable[[Object, Progress], Awaitable[None]]


def by_line(tell: Callable[[str], None]) -> Report:
    """Progress as lines."""

    async def report(service: Object, progress: Progress) -> None:
        tell(f"{key(service).name}: {progress.why}")

    return report


async def unreported(service: Object, progress: Progress) -> None:
    """Progress that nobody reads."""


def deployed(service: Object, since: int) -> Progress:
    """How far the revision of generation `since` is, and the traffic that it gets."""
    if status(service).get("observedGeneration", 0) < since:
        return Progress("waiting", _WORDS["OutOfDate"])
    configuration = _progress(condition(service, "ConfigurationsReady"), of_app=True)
    if configuration.state != "done":
        return configuration
    route = condition(service, "RoutesReady")
    follows = any(not target.get("revisionName") for target in spec(service).get("traffic") or [{}])
    if route.get("reason") == "RevisionMissing" and follows:
        return Progress("waiting", _WORDS["RevisionMissing"])
    return _progress(route)


def routed(service: Object, since: int) -> Progress:
    """How far the split of traffic of generation `since` is."""
    if status(service).get("observedGeneration", 0) < since:
        return Progress("waiting", _WORDS["OutOfDate"])
    return _progress(condition(service, "RoutesReady"))


def _progress(said: Object, *, of_app: bool = False) -> Progress:
    """What a condition says. `of_app`: one that passes on what an instance says."""
    if said["status"] == "True":
        return Progress("done")
    reason, message = str(said.get("reason", "")), shortened(str(said.get("message", "")), _SHOWN)
    if said["status"] == "False":
        return Progress("failed", message or reason or "no reason is given", by_app=of_app)
    by_app = of_app and bool(message) and reason in ("", "Deploying")
    plain = _WORDS.get(reason) or message or _WORDS["Deploying"]
    return Progress("waiting", message if by_app else plain, by_app)


async def follow(
    cluster: Cluster, changed: Object, decide: Decide, seconds: float, report: Report = unreported
) -> Object:
    """The Service once the change is in force. `report` gets each new thing that it waits for. Raises `NotReady`."""
    name, since, last = key(changed), generation(changed), Progress("waiting")
    try:
        async with asyncio.timeout(seconds), aclosing(watching.states(cluster, kinds.SERVICE, name)) as states:
            async for service in states:
                if service is None or service["metadata"]["uid"] != changed["metadata"]["uid"]:
                    raise Problem(f"{name.name} was deleted")
                progress = decide(service, since)
                if progress.state == "done":
                    return service
                if progress.state == "failed":
                    raise NotReady(service, progress.why)
                if progress != last:
                    last = progress
                    await report(service, progress)
    except TimeoutError as error:
        why = f": {last.why}" if last.why else ""
        raise Problem(f"{name.name} is not ready after {seconds:g} s{why}") from error
    raise RuntimeError("the states of an object ended")
