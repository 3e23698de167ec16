# SPDX-License-Identifier: Apache-2.0
"""Records on Configurations and Revisions which Routes refer to them.

In: Routes. Out: the annotation `routes` on Configurations and Revisions, and on Revisions the label `routingState` with
the time of its last change, which the autoscaler and the collection of old revisions read. Called by: `Controllers`.
Rule: knative/serving pkg/reconciler/labeler.

The objects that still name a deleted Route wake its key, so a Route needs no finalizer. An existing Route is removed
from an object only after its traffic has moved (it is Ready) or cannot move (it failed).

| Route | an object that names it, although the Route does not refer to it |
| --- | --- |
| exists, neither Ready nor failed | does not change |
| exists, Ready or failed | no longer names it |
| does not exist, but a Service of its name does | does not change: the Service is about to create the Route |
| does not exist | no longer names it |
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import NamedTuple

from tidegate.client.context import Context
from tidegate.client.informer import Informer
from tidegate.controllers.serving.revision_name import next_name
from tidegate.controllers.serving.targets import Lookup, is_latest
from tidegate.controllers.serving.traffic import mirrored
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
from tidegate.reconcile.lookups import live_object, own_key, waking
from tidegate.reconcile.object_queue import object_queue
from tidegate.reconcile.writer import ObjectWriter


class References(NamedTuple):
    """The names of the objects that a Route refers to."""

    revisions: frozenset[str] = frozenset()
    configurations: frozenset[str] = frozenset()


class MetadataChanges(NamedTuple):
    """Labels and annotations to merge into an object's metadata; None removes a name."""

    labels: Mapping[str, str | None]
    annotations: Mapping[str, str | None]


class Labeler:
    """Keeps the routing metadata of Configurations and Revisions."""

    def __init__(self, context: Context, writer: ObjectWriter) -> None:
        self._writer = writer
        self._services = context.informers.services
        self._routes = context.informers.routes
        self._configurations = context.informers.configurations
        self._revisions = context.informers.revisions
        self._clock = context.clock
        self.work = object_queue("labeler", self.reconcile, context.clock)
        self._services.subscribe(waking(self.work, own_key))
        self._routes.subscribe(waking(self.work, own_key))
        self._configurations.subscribe(waking(self.work, partial(self._routes_of, "configuration")))
        self._revisions.subscribe(waking(self.work, partial(self._routes_of, "revision")))

    def _routes_of(self, kind: str, obj: Object) -> Sequence[Key]:
        """The Routes that an object names, and the Routes that have it as a target."""
        namespace = obj["metadata"]["namespace"]
        targeting = self._routes.indexed("target", f"{kind}/{key(obj)}")
        return [*(Key(namespace, name) for name in listed(obj, names.ROUTES)), *(key(route) for route in targeting)]

    async def reconcile(self, key: Key) -> None:
        """Add one Route's name to the objects that it refers to, and remove it from the others."""
        route = live_object(self._routes, key)
        wanted = References() if route is None else references(route, self._configurations.get, self._revisions.get)
        is_coming = route is None and live_object(self._services, key) is not None
        settled = is_ready(route) or _is_failed(route) if route is not None else not is_coming
        for informer, wanted_names, has_state in (
            (self._revisions, wanted.revisions, True),
            (self._configurations, wanted.configurations, False),
        ):
            for obj in self._candidates(informer, key, wanted_names):
                named = obj["metadata"]["name"] in wanted_names
                if named or settled:
                    now = self._clock.wall()
                    changes = desired_changes(obj, key.name, now, named=named, has_state=has_state)
                    await self._writer.patch_metadata(informer, obj, **changes._asdict())

    def _candidates(self, informer: Informer, route: Key, wanted: frozenset[str]) -> list[Object]:
        """The objects that name the Route, and the objects that it refers to."""
        found = {obj["metadata"]["name"]: obj for obj in informer.indexed("route", str(route))}
        for name in wanted - found.keys():
            obj = informer.get(Key(route.namespace, name))
            if obj is not None:
                found[name] = obj
        return [obj for obj in found.values() if not is_deleting(obj)]


def _is_failed(route: Object) -> bool:
    return is_false(route) and status(route).get("observedGeneration") == generation(route)


def references(route: Object, configuration: Lookup, revision: Lookup) -> References:
    """The present and the wanted targets of a Route. For a target that follows the latest revision of a Configuration,
    the newest revision too, so that it is not scaled down before it can take over."""
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
    return References(frozenset(revisions), frozenset(configurations))


def desired_changes(obj: Object, route: str, now: datetime, *, named: bool, has_state: bool) -> MetadataChanges:
    """The changes after which an object names the Route (`named`), or does not. `has_state`: it is a Revision, which
    has a routing state."""
    before = set(listed(obj, names.ROUTES))
    after = before | {route} if named else before - {route}
    changed: dict[str, str | None] = {} if after == before else {names.ROUTES: ",".join(sorted(after)) or None}
    state = "active" if after else "reserve"
    if not has_state or labels(obj).get(names.ROUTING_STATE) == state:
        return MetadataChanges({}, changed)
    return MetadataChanges({names.ROUTING_STATE: state}, {**changed, names.ROUTING_STATE_MODIFIED: timestamp(now)})
