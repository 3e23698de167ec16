# SPDX-License-Identifier: Apache-2.0
"""A Route's targets, resolved to revisions. Pure.

In: a Route, and ways to look up Configurations and Revisions. Out: who gets how much under which tag, or why that
cannot be said. Rule: knative/serving pkg/reconciler/route/traffic.

| target | resolves to | cannot be assigned when |
| --- | --- | --- |
| configurationName | its latest ready revision | it does not exist, has no ready revision |
| revisionName | that revision | it does not exist, is not ready, or is another Service's than the Route |

Targets of the same revision under the same tag are merged. A tag has a host of its own, where its revision gets all.
Whom the Route has requests mirrored to (`model/mirroring.py`) is resolved alike, but need not be ready: no client waits
for it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import NamedTuple

from tidegate.controllers.serving.rollout import Rollout, Share, Shift, ordered
from tidegate.model import mirroring, names, pods
from tidegate.model.conditions import is_false, is_ready
from tidegate.model.objects import Key, Object, labels, spec, status

Lookup = Callable[[Key], Object | None]

MAIN = ""
"""The tag of the Route's main host."""


@dataclass(frozen=True, slots=True)
class Target:
    """A revision that gets `percent` of the traffic. `latest`: because it is its configuration's latest ready one."""

    revision: str
    configuration: str
    percent: int
    tag: str
    latest: bool
    protocol: str


@dataclass(frozen=True, slots=True)
class Traffic:
    """`assigned`: the targets as the status lists them. `by_tag`: who shares the main host, and each tag's host, sorted
    by tag. `mirrors`: which revisions get copies of the main host's requests, and of how many percent."""

    assigned: tuple[Target, ...]
    by_tag: Mapping[str, tuple[Target, ...]]
    mirrors: Mapping[str, int] = field(default_factory=dict)


class Unassignable(NamedTuple):
    """Why the traffic cannot be assigned. `final`: waiting will not help."""

    final: bool
    reason: str
    message: str


def resolve(route: Object, configuration: Lookup, revision: Lookup) -> Traffic | Unassignable:
    """The traffic that a Route asks for; of several reasons why it cannot be, a final one counts, and the last one."""
    namespace = route["metadata"]["namespace"]
    service = labels(route).get(names.SERVICE, "")

    def found(wanted: Object) -> Target | Unassignable:
        if wanted.get("revisionName"):
            return _pinned(wanted, namespace, service, configuration, revision)
        return _latest(wanted, namespace, configuration, revision)

    def copied(wanted: Object) -> str | Unassignable:
        name = wanted.get("revisionName")
        target = _owned(name, namespace, service, revision, names.MIRROR) if name else found(wanted)
        if isinstance(target, Unassignable):
            return target
        return target.revision if isinstance(target, Target) else str(name)

    targets = [found(wanted) for wanted in spec(route).get("traffic") or ()]
    copies = [(copied(wanted), wanted["percent"]) for wanted in mirrored(route)]
    refusals = [each for each in (*targets, *(to for to, _ in copies)) if isinstance(each, Unassignable)]
    if refusals:
        return next((refusal for refusal in reversed(refusals) if refusal.final), refusals[0])
    assigned = [each for each in targets if isinstance(each, Target)]
    mirrors = {to: percent for to, percent in copies if isinstance(to, str)}
    return Traffic(merged(assigned), _by_tag(assigned), mirrors)


def mirrored(route: Object) -> list[Object]:
    """Whom the Route has requests mirrored to, each as a target of it: what a tag leads to, else a revision."""
    by_tag = {target["tag"]: target for target in spec(route).get("traffic") or () if target.get("tag")}
    return [
        {**by_tag.get(name, {"revisionName": name}), "percent": percent} for name, percent in mirroring.mirrors(route)
    ]


def _latest(wanted: Object, namespace: str, configuration: Lookup, revision: Lookup) -> Target | Unassignable:
    name = wanted.get("configurationName", "")
    found = configuration(Key(namespace, name))
    if found is None:
        return _missing("Configuration", name)
    latest = status(found).get("latestReadyRevisionName")
    if not latest:
        if is_false(found):
            return Unassignable(True, "RevisionMissing", f'Configuration "{name}" does not have any ready Revision.')
        message = f'Configuration "{name}" is waiting for a Revision to become ready.'
        return Unassignable(False, "RevisionMissing", message)
    return _target(wanted, name, latest, revision(Key(namespace, latest)))


def _pinned(
    wanted: Object, namespace: str, service: str, configuration: Lookup, revision: Lookup
) -> Target | Unassignable:
    name = wanted["revisionName"]
    found = _owned(name, namespace, service, revision)
    if isinstance(found, Unassignable):
        return found
    of = labels(found).get(names.CONFIGURATION, "")
    target = _target(wanted, of, name, found)
    if isinstance(target, Target) and of and configuration(Key(namespace, of)) is None:
        return _missing("Configuration", of)
    return target


def _owned(
    name: str, namespace: str, service: str, revision: Lookup, named_in: str = "traffic"
) -> Object | Unassignable:
    found = revision(Key(namespace, name))
    if found is None:
        return _missing("Revision", name, named_in)
    owner = labels(found).get(names.SERVICE, "")
    if service and owner != service:
        told = f'belongs to Service "{owner}", not Service' if owner else "does not belong to Service"
        return Unassignable(True, "RevisionNotOwned", f'Revision "{name}" {told} "{service}".')
    return found


def _target(wanted: Object, configuration: str, name: str, revision: Object | None) -> Target | Unassignable:
    if revision is None:
        return _missing("Revision", name)
    if not is_ready(revision):
        if is_false(revision):
            return Unassignable(True, "RevisionMissing", f'Revision "{name}" failed to become ready.')
        return Unassignable(False, "RevisionMissing", f'Revision "{name}" is not yet ready.')
    return Target(
        revision=name,
        configuration=configuration,
        percent=int(wanted.get("percent") or 0),
        tag=wanted.get("tag") or MAIN,
        latest=is_latest(wanted),
        protocol=protocol(revision),
    )


def _missing(kind: str, name: str, named_in: str = "traffic") -> Unassignable:
    return Unassignable(True, f"{kind}Missing", f'{kind} "{name}" referenced in {named_in} not found.')


def is_latest(target: Object) -> bool:
    """Whether a target of a Route follows the latest ready revision."""
    return bool(target.get("latestRevision", not target.get("revisionName")))


def protocol(revision: Object) -> str:
    """What the serving container speaks: "h2c" if its port is named so, else "http1"."""
    ports = pods.serving_container(spec(revision)).get("ports") or [{}]
    return "h2c" if ports[0].get("name") == "h2c" else "http1"


def merged(targets: Iterable[Target]) -> tuple[Target, ...]:
    """The targets with those of the same tag and revision added up."""
    sums: dict[tuple[str, str, bool], Target] = {}
    for target in targets:
        identity = (target.tag, target.revision, target.latest)
        before = sums.get(identity)
        sums[identity] = target if before is None else replace(before, percent=before.percent + target.percent)
    return tuple(sums.values())


def _by_tag(targets: Sequence[Target]) -> Mapping[str, tuple[Target, ...]]:
    """All targets share the main host; a tagged one has its own host as well. One that is alone gets everything."""
    tagged = sorted((target for target in targets if target.tag), key=lambda target: target.tag)
    groups = {MAIN: list(targets)} | {tag: list(group) for tag, group in groupby(tagged, key=lambda target: target.tag)}
    return {tag: _shared(group) for tag, group in groups.items()}


def _shared(targets: Sequence[Target]) -> tuple[Target, ...]:
    by_revision: dict[str, Target] = {}
    for target in targets:
        before = by_revision.get(target.revision)
        total = target.percent + (before.percent if before is not None else 0)
        by_revision[target.revision] = replace(before or target, percent=total)
    shared = tuple(by_revision.values())
    return (replace(shared[0], percent=100),) if len(shared) == 1 else shared


def finished(traffic: Traffic) -> Rollout:
    """The rollout in which every latest revision has all its configuration's share."""
    return ordered(
        [
            Shift(target.configuration, target.percent, (Share(target.revision, target.percent),), tag)
            for tag, targets in traffic.by_tag.items()
            for target in targets
            if target.latest and target.percent
        ]
    )


def is_where_wanted(route: Object, configuration: Object) -> bool:
    """Whether a Route's status has the traffic where its spec wants it, given the Configuration of the same Service."""
    newest = status(configuration).get("latestReadyRevisionName", "")
    own = configuration["metadata"]["name"]
    wanted = [
        Target(
            revision=target.get("revisionName") or (newest if target.get("configurationName") == own else ""),
            configuration=target.get("configurationName", "") if target.get("configurationName") != own else "",
            percent=int(target.get("percent") or 0),
            tag=target.get("tag") or MAIN,
            latest=is_latest(target),
            protocol="",
        )
        for target in spec(route).get("traffic") or ()
    ]
    reached = [
        (target.get("tag") or MAIN, target.get("revisionName"), int(target.get("percent") or 0))
        for target in status(route).get("traffic") or ()
    ]
    return reached == [(target.tag, target.revision, target.percent) for target in merged(wanted)]
