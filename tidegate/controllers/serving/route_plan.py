# SPDX-License-Identifier: Apache-2.0
"""Route -> the Ingress that it should have, or why it can have none. Pure.

In: `RouteInputs` (a Route, the configuration, the time), the Configurations and Revisions of its targets, its Ingress.
Out: a `RoutePlan`. Called by: `route`. Rule: knative/serving pkg/reconciler/route/route.go.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from tidegate.controllers.serving import hosts, rollout, rollout_state, traffic
from tidegate.controllers.serving.ingress import InvalidOption, desired_ingress
from tidegate.controllers.serving.metadata import seconds
from tidegate.controllers.serving.rollout import Rollout
from tidegate.controllers.serving.targets import Lookup, Unassignable
from tidegate.controllers.serving.traffic import Traffic
from tidegate.model import names
from tidegate.model.conditions import is_ready, is_true
from tidegate.model.config import Configs
from tidegate.model.objects import Object, annotations, first_annotation, is_controlled_by
from tidegate.reconcile.lookups import is_outdated
from tidegate.reconcile.verdict import Verdict

INGRESS_READY = "IngressReady"

PortOf = Callable[[str], int | None]
"""The port that a URL has to name for a listener: "http" and "https" for users, "internal" for other apps. None if it
is the default port of the scheme."""

_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00Z")
_NO_SHARES = Rollout()


class RouteInputs(NamedTuple):
    """A Route, and what else its URLs and its status depend on."""

    route: Object
    configs: Configs
    port_of: PortOf
    now: datetime

    def url(self, tag: str) -> str:
        """The URL at which users reach the Route, or a tag of it. Raises `hosts.InvalidHost`."""
        if hosts.is_local(self.route, self.configs):
            return self.address(tag)
        scheme = self.configs.network.default_external_scheme
        return self._url(scheme, hosts.public(self.route, tag, self.configs), scheme)

    def address(self, tag: str) -> str:
        """The URL at which other apps reach it. Raises `hosts.InvalidHost`."""
        return self._url("http", hosts.local(self.route, tag, self.configs), "internal")

    def _url(self, scheme: str, host: str, listener: str) -> str:
        port = self.port_of(listener)
        return f"{scheme}://{host}:{port}" if port is not None else f"{scheme}://{host}"


@dataclass(frozen=True, slots=True)
class RoutePlan:
    """What a Route's Ingress should be. `shares`: the share of each revision now. `due`: when the shares change next,
    in nanoseconds since 1970. `obstacle`: why there can be no such Ingress."""

    traffic: Traffic | Unassignable
    shares: Rollout = _NO_SHARES
    due: int | None = None
    ingress: Object | None = None
    obstacle: Verdict | None = None


def planned(inputs: RouteInputs, configuration: Lookup, revision: Lookup, existing: Object | None) -> RoutePlan:
    """Plan a Route's Ingress. `existing`: the Ingress of its name, if any."""
    resolved = traffic.resolve(inputs.route, configuration, revision)
    if isinstance(resolved, Unassignable):
        return RoutePlan(resolved)
    if existing is not None and not is_controlled_by(existing, inputs.route):
        message = f'There is an existing Ingress "{existing["metadata"]["name"]}" that we do not own.'
        return RoutePlan(resolved, traffic.finished(resolved), obstacle=Verdict("False", "NotOwned", message))
    shares, due = step(inputs, resolved, existing)
    try:
        for tag in resolved.by_tag:
            hosts.shown(inputs.route, tag, inputs.configs)  # an error names the host that users know
        ingress = desired_ingress(inputs.route, resolved, shares, inputs.configs)
    except hosts.InvalidHost as error:
        return RoutePlan(Unassignable(True, "ErrorConfig", str(error)))
    except InvalidOption as error:
        return RoutePlan(resolved, shares, obstacle=Verdict("False", "ErrorConfig", str(error)))
    return RoutePlan(resolved, shares, due, ingress)


def step(inputs: RouteInputs, resolved: Traffic, ingress: Object | None) -> tuple[Rollout, int | None]:
    """The shares of the latest revisions now, and when they change next. A rollout that has begun gets its pace when
    the gateway has the first step in effect and the Route's status does not say so yet."""
    current, now = traffic.finished(resolved), nanoseconds(inputs.now)
    duration = rollout_duration(inputs.route, inputs.configs)
    if duration <= 0 or ingress is None:
        return current, None
    previous = rollout_state.loaded(annotations(ingress).get(names.ROLLOUT, ""))
    known = is_true(inputs.route, INGRESS_READY) and not is_outdated(inputs.route)
    if previous is not None and is_ready(ingress) and not known:
        previous = rollout.observe_ready(previous, now, duration)
    return rollout.step(current, previous, now)


def rollout_duration(route: Object, configs: Configs) -> float:
    """Seconds: the Route's annotation, else the configured default."""
    asked = seconds(first_annotation(route, names.ROLLOUT_DURATIONS), default=0)
    return math.floor(asked) or configs.network.rollout_duration


def nanoseconds(moment: datetime) -> int:
    """Nanoseconds since 1970."""
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000
