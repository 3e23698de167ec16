# SPDX-License-Identifier: Apache-2.0
"""One target of a Route, resolved to a revision. Pure.

In: a target, and look-ups of Configurations and Revisions. Out: a `TrafficTarget`, or an `Unassignable` that says why
there is none. Called by: `traffic`. Rule: knative/serving pkg/reconciler/route/traffic.

| target | resolves to | cannot be assigned if |
| --- | --- | --- |
| configurationName | the latest ready revision of the Configuration | it does not exist or has no ready revision |
| revisionName | that revision | it does not exist, is not ready, or belongs to another Service than the Route |
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from tidegate.model import names, pods
from tidegate.model.conditions import is_false, is_ready
from tidegate.model.objects import Key, Object, labels, spec, status

Lookup = Callable[[Key], Object | None]

MAIN = ""
"""The tag of the Route's main host."""


@dataclass(frozen=True, slots=True)
class TrafficTarget:
    """A revision that gets `percent` of the traffic. `latest`: the target follows its configuration's latest ready
    revision."""

    revision: str
    configuration: str
    percent: int
    tag: str
    latest: bool
    protocol: str


class Unassignable(NamedTuple):
    """Why the traffic cannot be assigned. `final`: waiting will not resolve it."""

    final: bool
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class TargetResolver:
    """Resolves the targets of one Route. `service`: the Service that the Route belongs to; "" if none."""

    namespace: str
    service: str
    configuration: Lookup
    revision: Lookup

    def resolve(self, target: Object) -> TrafficTarget | Unassignable:
        """The revision that gets the target's traffic."""
        return self._pinned(target) if target.get("revisionName") else self._latest(target)

    def resolve_mirror(self, target: Object) -> str | Unassignable:
        """The revision that gets copies of requests. A revision that is named need not be ready."""
        name = target.get("revisionName")
        resolved = self._owned(name, names.MIRROR) if name else self._latest(target)
        if isinstance(resolved, Unassignable):
            return resolved
        return resolved.revision if isinstance(resolved, TrafficTarget) else str(name)

    def _latest(self, target: Object) -> TrafficTarget | Unassignable:
        name = target.get("configurationName", "")
        found = self.configuration(Key(self.namespace, name))
        if found is None:
            return _missing("Configuration", name)
        latest = status(found).get("latestReadyRevisionName")
        if not latest:
            if is_false(found):
                return Unassignable(
                    True, "RevisionMissing", f'Configuration "{name}" does not have any ready Revision.'
                )
            message = f'Configuration "{name}" is waiting for a Revision to become ready.'
            return Unassignable(False, "RevisionMissing", message)
        return _assigned(target, name, latest, self.revision(Key(self.namespace, latest)))

    def _pinned(self, target: Object) -> TrafficTarget | Unassignable:
        name = target["revisionName"]
        found = self._owned(name)
        if isinstance(found, Unassignable):
            return found
        configuration = labels(found).get(names.CONFIGURATION, "")
        assigned = _assigned(target, configuration, name, found)
        is_orphan = configuration and self.configuration(Key(self.namespace, configuration)) is None
        if isinstance(assigned, TrafficTarget) and is_orphan:
            return _missing("Configuration", configuration)
        return assigned

    def _owned(self, name: str, named_in: str = "traffic") -> Object | Unassignable:
        """The revision, if it does not belong to another Service. `named_in`: the field that names it."""
        found = self.revision(Key(self.namespace, name))
        if found is None:
            return _missing("Revision", name, named_in)
        owner = labels(found).get(names.SERVICE, "")
        if self.service and owner != self.service:
            problem = f'belongs to Service "{owner}", not Service' if owner else "does not belong to Service"
            return Unassignable(True, "RevisionNotOwned", f'Revision "{name}" {problem} "{self.service}".')
        return found


def _assigned(target: Object, configuration: str, name: str, revision: Object | None) -> TrafficTarget | Unassignable:
    if revision is None:
        return _missing("Revision", name)
    if not is_ready(revision):
        if is_false(revision):
            return Unassignable(True, "RevisionMissing", f'Revision "{name}" failed to become ready.')
        return Unassignable(False, "RevisionMissing", f'Revision "{name}" is not yet ready.')
    return TrafficTarget(
        revision=name,
        configuration=configuration,
        percent=int(target.get("percent") or 0),
        tag=target.get("tag") or MAIN,
        latest=is_latest(target),
        protocol=pods.serving_protocol(spec(revision)),
    )


def _missing(kind: str, name: str, named_in: str = "traffic") -> Unassignable:
    return Unassignable(True, f"{kind}Missing", f'{kind} "{name}" referenced in {named_in} not found.')


def is_latest(target: Object) -> bool:
    """Whether a target of a Route follows the latest ready revision."""
    return bool(target.get("latestRevision", not target.get("revisionName")))
