# SPDX-License-Identifier: Apache-2.0
"""Route -> Ingress, and how far the gateway is with it back to the Route.

In: a Route, the Configurations and Revisions of its targets, its Ingress. Out: the Ingress, and the Route's status.
Rule: knative/serving pkg/reconciler/route.

| what is seen | condition |
| --- | --- |
| a target that cannot be resolved | AllTrafficAssigned False or Unknown, with why; the Ingress stays as it is |
| an Ingress that the API does not take | IngressReady False, with why |
| a host that cannot be | AllTrafficAssigned False ErrorConfig |
| the gateway has not seen the newest Ingress | IngressReady Unknown IngressNotConfigured |
| a gradual rollout under way | IngressReady Unknown RolloutInProgress |
| else | IngressReady as the Ingress says |

No certificates are made here: CertificateProvisioned is True TLSNotEnabled once traffic is assigned.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import NamedTuple

from tidegate.client.informer import Informer
from tidegate.controllers.serving import hosts, rollout, traffic
from tidegate.controllers.serving.ingress import WrongOption, desired_ingress, shares_of
from tidegate.controllers.serving.rollout import Rollout
from tidegate.controllers.serving.traffic import MAIN, Lookup, Target, Traffic, Unassignable
from tidegate.kit.clock import Clock
from tidegate.model import names
from tidegate.model.conditions import Conditions, is_ready, is_true
from tidegate.model.config import Configs
from tidegate.model.objects import (
    Key,
    Object,
    annotations,
    first_annotation,
    is_controlled_by,
    key,
    labels,
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
    seconds,
    waking,
)

ALL_TRAFFIC_ASSIGNED = "AllTrafficAssigned"
CERTIFICATE_PROVISIONED = "CertificateProvisioned"
INGRESS_READY = "IngressReady"
DEPENDENTS = (ALL_TRAFFIC_ASSIGNED, INGRESS_READY, CERTIFICATE_PROVISIONED)

PortOf = Callable[[str], int | None]
"""The port that users have to name for a scheme ("http", "https"), and apps for each other over HTTP ("internal"); None
where it is the scheme's own."""

_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00Z")


class Routes:
    """Reconciles every Route."""

    def __init__(
        self,
        *,
        writer: Writer,
        routes: Informer,
        configurations: Informer,
        revisions: Informer,
        ingresses: Informer,
        configs: Callable[[], Configs],
        port_of: PortOf,
        clock: Clock,
    ) -> None:
        self._writer = writer
        self._routes = routes
        self._configurations = configurations
        self._revisions = revisions
        self._ingresses = ingresses
        self._configs = configs
        self._port_of = port_of
        self._clock = clock
        self.work = queue("route", self.reconcile, clock)
        routes.subscribe(waking(self.work, itself))
        ingresses.subscribe(waking(self.work, itself))
        configurations.subscribe(waking(self.work, lambda obj: self._targeting("configuration", key(obj))))
        revisions.subscribe(waking(self.work, self._reaching))

    def _targeting(self, kind: str, name: Key) -> Sequence[Key]:
        return [key(route) for route in self._routes.indexed("target", f"{kind}/{name}")]

    def _reaching(self, revision: Object) -> Sequence[Key]:
        """The Routes that name a revision, or its Configuration."""
        of = Key(revision["metadata"]["namespace"], labels(revision).get(names.CONFIGURATION, ""))
        return [*self._targeting("revision", key(revision)), *self._targeting("configuration", of)]

    def wake_all(self) -> None:
        """Hosts, ports or the pace of rollouts have changed."""
        for route in self._routes.list():
            self.work.wake(key(route))

    async def reconcile(self, key: Key) -> None:
        """Make one Route's Ingress what its targets ask, then tell how far traffic is."""
        route = alive(self._routes, key)
        if route is None:
            return
        view = View(route, self._configs(), self._port_of, self._clock.wall())
        existing = self._ingresses.get(key)
        plan = planned(view, self._configurations.get, self._revisions.get, existing)
        ingress = None
        if plan.ingress is not None:
            try:
                ingress = await self._writer.ensure_child(route, self._ingresses, existing, plan.ingress)
            except ChildRefused as refusal:
                plan = replace(plan, obstacle=refusal.verdict)
                self.work.wake_after(key, REFUSED_AGAIN)
        if plan.due is not None:
            self.work.wake_after(key, max(0, plan.due - nanoseconds(view.now)) / rollout.SECOND)
        await self._writer.update_status(self._routes, route, observed_status(view, plan, ingress))


class View(NamedTuple):
    """A Route and what else its URLs and status depend on."""

    route: Object
    configs: Configs
    port_of: PortOf
    now: datetime

    def url(self, tag: str) -> str:
        """Where users reach the Route, or a tag of it. Raises `hosts.WrongHost`."""
        if hosts.is_local(self.route, self.configs):
            return self.address(tag)
        scheme = self.configs.network.default_external_scheme
        return self._url(scheme, hosts.public(self.route, tag, self.configs), scheme)

    def address(self, tag: str) -> str:
        """Where apps reach it. Raises `hosts.WrongHost`."""
        return self._url("http", hosts.local(self.route, tag, self.configs), "internal")

    def _url(self, scheme: str, host: str, door: str) -> str:
        port = self.port_of(door)
        return f"{scheme}://{host}:{port}" if port is not None else f"{scheme}://{host}"


_NOT_CONFIGURED = Verdict("Unknown", "IngressNotConfigured", "Ingress has not yet been reconciled.")
_ROLLING = Verdict("Unknown", "RolloutInProgress", "A gradual rollout of the latest revision(s) is in progress.")
_NOTHING_MOVES = Rollout()
_NO_TLS = Verdict("True", "TLSNotEnabled", "external-domain-tls is not enabled")


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to become of a Route: who gets how much now, when that changes by time, the Ingress that says so; or an
    `obstacle` to that Ingress."""

    traffic: Traffic | Unassignable
    shares: Rollout = _NOTHING_MOVES
    due: int | None = None
    ingress: Object | None = None
    obstacle: Verdict | None = None


def planned(view: View, configuration: Lookup, revision: Lookup, existing: Object | None) -> Plan:
    """Decide about a Route, given what its targets can be looked up in and the Ingress there is."""
    resolved = traffic.resolve(view.route, configuration, revision)
    if isinstance(resolved, Unassignable):
        return Plan(resolved)
    if existing is not None and not is_controlled_by(existing, view.route):
        message = f'There is an existing Ingress "{existing["metadata"]["name"]}" that we do not own.'
        return Plan(resolved, traffic.finished(resolved), obstacle=Verdict("False", "NotOwned", message))
    shares, due = step(view, resolved, existing)
    try:
        for tag in resolved.by_tag:
            hosts.own(view.route, tag, view.configs)  # the host that users know is the one to complain of
        ingress = desired_ingress(view.route, resolved, shares, view.configs)
    except hosts.WrongHost as error:
        return Plan(Unassignable(True, "ErrorConfig", str(error)))
    except WrongOption as error:
        return Plan(resolved, shares, obstacle=Verdict("False", "ErrorConfig", str(error)))
    return Plan(resolved, shares, due, ingress)


def step(view: View, resolved: Traffic, ingress: Object | None) -> tuple[Rollout, int | None]:
    """How the traffic of the latest revisions is shared now, and when that changes by time. Once the gateway obeys what
    the Route did not yet know to be obeyed, a rollout that had begun gets its pace."""
    current, now = traffic.finished(resolved), nanoseconds(view.now)
    duration = rollout_duration(view.route, view.configs)
    if duration <= 0 or ingress is None:
        return current, None
    previous = rollout.loaded(annotations(ingress).get(names.ROLLOUT, ""))
    known = is_true(view.route, INGRESS_READY) and not is_outdated(view.route)
    if previous is not None and is_ready(ingress) and not known:
        previous = rollout.observe_ready(previous, now, duration)
    return rollout.step(current, previous, now)


def rollout_duration(route: Object, configs: Configs) -> float:
    """Seconds; the configured ones where the Route asks for none."""
    asked = seconds(first_annotation(route, names.ROLLOUT_DURATIONS), default=0)
    return math.floor(asked) or configs.network.rollout_duration


def nanoseconds(moment: datetime) -> int:
    """Since 1970."""
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000


def observed_status(view: View, plan: Plan, ingress: Object | None) -> Object:
    """The status, given the Ingress as it was written. While traffic cannot be assigned, what was assigned before stays
    in it."""
    conditions = Conditions(view.route, DEPENDENTS, view.now)
    fields = {field: value for field, value in status(view.route).items() if field in ("url", "address", "traffic")}
    if isinstance(plan.traffic, Unassignable):
        final, reason, message = plan.traffic
        mark(conditions, ALL_TRAFFIC_ASSIGNED, Verdict("False" if final else "Unknown", reason, message))
        if is_outdated(view.route):
            mark(conditions, INGRESS_READY, _NOT_CONFIGURED)
        with suppress(hosts.WrongHost):
            fields["url"] = view.url(MAIN)
    else:
        conditions.mark_true(ALL_TRAFFIC_ASSIGNED)
        mark(conditions, CERTIFICATE_PROVISIONED, _NO_TLS)
        mark(conditions, INGRESS_READY, plan.obstacle or ingress_verdict(ingress, plan.shares))
        fields = {
            "url": view.url(MAIN),
            "address": {"url": view.address(MAIN)},
            "traffic": [entry for target in plan.traffic.assigned for entry in _entries(view, target, plan.shares)],
        }
    return {**fields, "conditions": conditions.conditions()}


def ingress_verdict(ingress: Object | None, shares: Rollout) -> Verdict:
    """What the Route says of its Ingress."""
    if not shares.done:
        return _ROLLING
    if ingress is None or is_outdated(ingress) or not status(ingress).get("conditions"):
        return _NOT_CONFIGURED
    return heard(ingress)


def _entries(view: View, target: Target, shares: Rollout) -> Iterator[Object]:
    """A target as the status lists it: once for each revision that shares it."""
    for share in shares_of(target, shares, target.tag):
        yield {
            **({"tag": target.tag, "url": view.url(target.tag)} if target.tag else {}),
            "revisionName": share.revision,
            "percent": share.percent,
            "latestRevision": target.latest,
        }
