# SPDX-License-Identifier: Apache-2.0
"""A Route's targets -> the traffic of its hosts. Pure.

In: a Route, and look-ups of Configurations and Revisions. Out: the share of each revision under each tag, or why
traffic cannot be assigned. Called by: `route_plan`, `service_status` and `labeler`. Rule: knative/serving
pkg/reconciler/route/traffic.

Targets with the same revision and tag are merged. A tag has a host of its own, where its revision gets all requests.
Revisions that get mirrored requests (`model/mirroring.py`) are resolved the same way, but need not be ready: no client
waits for their responses.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

from tidegate.controllers.serving.rollout import RevisionShare, Rollout, Shift, ordered
from tidegate.controllers.serving.targets import MAIN, Lookup, TargetResolver, TrafficTarget, Unassignable, is_latest
from tidegate.model import mirroring, names
from tidegate.model.objects import Object, labels, spec, status


@dataclass(frozen=True, slots=True)
class Traffic:
    """`assigned`: the targets as the status lists them. `by_tag`: the targets that share the main host, and each tag's
    host, sorted by tag. `mirrors`: the percentage of the main host's requests that each revision gets copies of."""

    assigned: tuple[TrafficTarget, ...]
    by_tag: Mapping[str, tuple[TrafficTarget, ...]]
    mirrors: Mapping[str, int] = field(default_factory=dict)


def resolve(route: Object, configuration: Lookup, revision: Lookup) -> Traffic | Unassignable:
    """The traffic that a Route asks for. If several targets cannot be assigned, the last final reason is returned, else
    the first reason."""
    service = labels(route).get(names.SERVICE, "")
    resolver = TargetResolver(route["metadata"]["namespace"], service, configuration, revision)
    targets = [resolver.resolve(target) for target in spec(route).get("traffic") or ()]
    copies = [(resolver.resolve_mirror(target), target["percent"]) for target in mirrored(route)]
    rejections = [each for each in (*targets, *(to for to, _ in copies)) if isinstance(each, Unassignable)]
    if rejections:
        return next((rejection for rejection in reversed(rejections) if rejection.final), rejections[0])
    assigned = [each for each in targets if isinstance(each, TrafficTarget)]
    mirrors = {to: percent for to, percent in copies if isinstance(to, str)}
    return Traffic(merged(assigned), _by_tag(assigned), mirrors)


def mirrored(route: Object) -> list[Object]:
    """The Route's mirrors, each as a target: that of a tag of the same name, else a revision."""
    by_tag = {target["tag"]: target for target in spec(route).get("traffic") or () if target.get("tag")}
    return [
        {**by_tag.get(name, {"revisionName": name}), "percent": percent} for name, percent in mirroring.mirrors(route)
    ]


def merged(targets: Iterable[TrafficTarget]) -> tuple[TrafficTarget, ...]:
    """The targets, with the percentages of equal tags and revisions added up."""
    sums: dict[tuple[str, str, bool], TrafficTarget] = {}
    for target in targets:
        identity = (target.tag, target.revision, target.latest)
        before = sums.get(identity)
        sums[identity] = target if before is None else replace(before, percent=before.percent + target.percent)
    return tuple(sums.values())


def _by_tag(targets: Sequence[TrafficTarget]) -> Mapping[str, tuple[TrafficTarget, ...]]:
    """All targets share the main host; a tagged one also has a host of its own. A single target gets 100 %."""
    tagged = sorted((target for target in targets if target.tag), key=lambda target: target.tag)
    groups = {MAIN: list(targets)} | {tag: list(group) for tag, group in groupby(tagged, key=lambda target: target.tag)}
    return {tag: _shared(group) for tag, group in groups.items()}


def _shared(targets: Sequence[TrafficTarget]) -> tuple[TrafficTarget, ...]:
    by_revision: dict[str, TrafficTarget] = {}
    for target in targets:
        before = by_revision.get(target.revision)
        total = target.percent + (before.percent if before is not None else 0)
        by_revision[target.revision] = replace(before or target, percent=total)
    shared = tuple(by_revision.values())
    return (replace(shared[0], percent=100),) if len(shared) == 1 else shared


def finished(traffic: Traffic) -> Rollout:
    """The rollout at its end: every latest revision has all of its configuration's share."""
    return ordered(
        [
            Shift(target.configuration, target.percent, (RevisionShare(target.revision, target.percent),), tag)
            for tag, targets in traffic.by_tag.items()
            for target in targets
            if target.latest and target.percent
        ]
    )


def is_where_wanted(route: Object, configuration: Object) -> bool:
    """Whether a Route's status has the traffic that its spec wants, given the Configuration of the same Service."""
    newest = status(configuration).get("latestReadyRevisionName", "")
    own = configuration["metadata"]["name"]
    wanted = [
        TrafficTarget(
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
