# SPDX-License-Identifier: Apache-2.0
"""Which Routes want a Configuration or a Revision, told on these objects themselves.

In: Routes. Out: the annotation `routes` on what a Route refers to, and on Revisions the label `routingState` with the
time of its last change, from which the autoscaler and the collection of old revisions take what they need. Rule:
knative/serving pkg/reconciler/labeler.

A Route that is gone is noticed by the objects that still name it, so it needs no finalizer. One that is there lets go
of an object only once its traffic has moved (it is Ready) or will not (it failed).

| the Route | an object that it does not refer to, but that names it |
| --- | --- |
| is there, and neither Ready nor failed | stays as it is |
| is there, Ready or failed | no longer names it |
| is not there, but a Service of its name is | stays as it is: the Service is about to make the Route |
| is not there | no longer names it |
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import NamedTuple

from tidegate.client.informer import Informer
from tidegate.controllers.serving.configuration import next_name
from tidegate.controllers.serving.traffic import Lookup, is_latest, mirrored
from tidegate.kit.clock import Clock
from tidegate.model import names
from tidegate.model.conditions import is_false, is_ready, timestamp
from tidegate.model.objects import (
    Key,
    Object,
    controller_of,
    generation,
    is_deleting,
    key,
    labels,
    listed,
    spec,
    status,
)
from tidegate.reconcile.writer import Writer, alive, itself, queue, waking


class Wanted(NamedTuple):
    """The names of what a Route refers to."""

    revisions: frozenset[str] = frozenset()
    configurations: frozenset[str] = frozenset()


class Changes(NamedTuple):
    """What to merge into an object's metadata."""

    labels: Mapping[str, str | None]
    annotations: Mapping[str, str | None]


class Labeler:
    """Keeps the routing metadata of Configurations and Revisions."""

    def __init__(
        self,
        *,
        writer: Writer,
        services: Informer,
        routes: Informer,
        configurations: Informer,
        revisions: Informer,
        clock: Clock,
    ) -> None:
        self._writer = writer
        self._services = services
        self._routes = routes
        self._configurations = configurations
        self._revisions = revisions
        self._clock = clock
        self.work = queue("labeler", self.reconcile, clock)
        services.subscribe(waking(self.work, itself))
        routes.subscribe(waking(self.work, itself))
        configurations.subscribe(waking(self.work, partial(self._concerned, "configuration")))
        revisions.subscribe(waking(self.work, partial(self._concerned, "revision")))

    def _concerned(self, kind: str, obj: Object) -> Sequence[Key]:
        """The Routes that an object names, and those that name it."""
        namespace = obj["metadata"]["namespace"]
        naming = self._routes.indexed("target", f"{kind}/{key(obj)}")
        return [*(Key(namespace, name) for name in listed(obj, names.ROUTES)), *(key(route) for route in naming)]

    async def reconcile(self, key: Key) -> None:
        """Name one Route on what it refers to, and no longer on what it does not."""
        route = alive(self._routes, key)
        wanted = Wanted() if route is None else referred(route, self._configurations.get, self._revisions.get)
        to_come = route is None and alive(self._services, key) is not None
        settled = is_ready(route) or _is_failed(route) if route is not None else not to_come
        for kept, wanted_names, has_state in (
            (self._revisions, wanted.revisions, True),
            (self._configurations, wanted.configurations, False),
        ):
            for obj in self._to_look_at(kept, key, wanted_names):
                named = obj["metadata"]["name"] in wanted_names
                if named or settled:
                    now = self._clock.wall()
                    changes = desired_changes(obj, key.name, now, named=named, has_state=has_state)
                    await self._writer.patch_metadata(kept, obj, **changes._asdict())

    def _to_look_at(self, kept: Informer, route: Key, wanted: frozenset[str]) -> list[Object]:
        found = {obj["metadata"]["name"]: obj for obj in kept.indexed("route", str(route))}
        for name in wanted - found.keys():
            obj = kept.get(Key(route.namespace, name))
            if obj is not None:
                found[name] = obj
        return [obj for obj in found.values() if not is_deleting(obj)]


def _is_failed(route: Object) -> bool:
    return is_false(route) and status(route).get("observedGeneration") == generation(route)


def referred(route: Object, configuration: Lookup, revision: Lookup) -> Wanted:
    """What a Route's targets are, those it has and those it is to have; and, so that a new revision is not let go of
    before it can take over, the newest revision of a configuration of which the latest is wanted."""
    namespace = route["metadata"]["namespace"]
    revisions, configurations = set(), set()
    for target in (*(status(route).get("traffic") or ()), *(spec(route).get("traffic") or ()), *mirrored(route)):
        of = target.get("configurationName", "")
        if target.get("revisionName"):
            found = revision(Key(namespace, target["revisionName"]))
            if found is None:
                continue
            revisions.add(target["revisionName"])
            owner = controller_of(found) or {}
            of = owner["name"] if owner.get("kind") == "Configuration" else of
        owning = configuration(Key(namespace, of)) if of else None
        if owning is not None:
            configurations.add(of)
            if is_latest(target):
                revisions |= {next_name(owning), status(owning).get("latestCreatedRevisionName", "")} - {""}
    return Wanted(frozenset(revisions), frozenset(configurations))


def desired_changes(obj: Object, route: str, now: datetime, *, named: bool, has_state: bool) -> Changes:
    """What changes on an object so that it names the Route or no longer does. `has_state`: Revisions do."""
    before = set(listed(obj, names.ROUTES))
    after = before | {route} if named else before - {route}
    told: dict[str, str | None] = {} if after == before else {names.ROUTES: ",".join(sorted(after)) or None}
    state = "active" if after else "reserve"
    if not has_state or labels(obj).get(names.ROUTING_STATE) == state:
        return Changes({}, told)
    return Changes({names.ROUTING_STATE: state}, {**told, names.ROUTING_STATE_MODIFIED: timestamp(now)})
