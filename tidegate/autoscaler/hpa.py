# SPDX-License-Identifier: Apache-2.0
"""Scaling by what instances use: the class `hpa.autoscaling.knative.dev`, by CPU or memory.

In: what the running instances of a revision use (the node agent tells), its annotations. Out: a number of instances, as
Kubernetes' HorizontalPodAutoscaler would give; and zero, which that cannot, when no request came for a stable window.
Rule: kubernetes pkg/controller/podautoscaler, replica_calculator.go and horizontal.go.

| metric | target                                         | ratio                                       |
| --- | --- | --- |
| cpu    | percent of the CPU that is asked for, 80       | used / asked for, of all / target           |
| memory | MiB an instance                                | mean of the instances / target              |

The ratio times the instances is what is wanted, unless it is within a tenth of 1. Instances not yet ready count as
using nothing when it wants more, and as using all they should when it wants less. Of what was wanted within the
stabilisation windows (`window` sets both) the least counts for growing, the most for shrinking. In 15 s it grows by 4
instances or doubles, whichever is more.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tidegate.autoscaler import bounds
from tidegate.autoscaler.annotations import Annotations
from tidegate.autoscaler.decide import Observed, Spec
from tidegate.model.config import Configs
from tidegate.model.objects import Key, Object
from tidegate.model.usage import Usage

_TOLERANCE = 0.1
_CPU_PERCENT = 80.0
_SHRINK_WINDOW = 300.0
_PERIOD = 15.0
_UNKNOWN = 60.0  # seconds after a restart in which nothing goes to zero
_GROW_BY = 4
_MIB = 2**20


@dataclass(frozen=True, slots=True)
class HpaSpec(Spec):
    """What one revision follows. Windows, metric and algorithm are those of its requests, which only decide on zero."""

    resource: str = "cpu"
    wanted_usage: float = _CPU_PERCENT  # an instance: percent of what it asks for, or MiB; 0: none is given
    grow_window: float = 0.0
    shrink_window: float = _SHRINK_WINDOW


@dataclass(frozen=True, slots=True)
class HpaState:
    """What was wanted, and how many there were, at which times; as far back as it matters."""

    wanted: tuple[tuple[float, int], ...] = ()
    scales: tuple[tuple[float, int], ...] = ()
    unknown_until: float = -math.inf  # before, no request may just mean that none was seen yet


@dataclass(frozen=True, slots=True)
class HpaDecision:
    """A number of instances, and how it came about."""

    desired: int
    observed: Observed
    resource: str
    usage: float | None  # mean of an instance, in the unit of the target; None: not known
    target: float
    wanted: int  # before windows and policies
    reason: str

    @property
    def is_steady(self) -> bool:
        return self.desired == 0

    def numbers(self) -> dict[str, Any]:
        return {
            "desired": self.desired,
            "ready": self.observed.ready,
            "requests": round(self.observed.stable, 3),
            "metric": self.resource,
            "usage": None if self.usage is None else round(self.usage, 1),
            "target": self.target,
            "wanted": self.wanted,
        }


class Hpa:
    """The class. `usage` is asked with every decision."""

    def __init__(self, usage: Callable[[Key], Sequence[Usage]]) -> None:
        self._usage = usage

    def spec_of(self, pod_autoscaler: Object, configs: Configs) -> HpaSpec:
        given, requests = Annotations(pod_autoscaler), bounds.spec_of(pod_autoscaler, configs)
        resource = given.text("metric") or "cpu"
        window = given.seconds("window")
        return HpaSpec(
            stable_window=requests.stable_window,
            panic_window=requests.panic_window,
            resource=resource,
            wanted_usage=given.number("target") or (_CPU_PERCENT if resource == "cpu" else 0.0),
            grow_window=0.0 if window is None else window,
            shrink_window=_SHRINK_WINDOW if window is None else window,
        )

    def initial(self, ready: int, now: float) -> HpaState:
        return HpaState(((now, ready),), unknown_until=now + _UNKNOWN) if ready else HpaState()

    def decide(
        self, revision: Key, spec: HpaSpec, observed: Observed, state: HpaState, now: float
    ) -> tuple[HpaDecision, HpaState]:
        return decide(spec, observed, self._usage(revision), state, now)


def decide(
    spec: HpaSpec, observed: Observed, instances: Sequence[Usage], state: HpaState, now: float
) -> tuple[HpaDecision, HpaState]:
    """How many instances are wanted now."""
    current = max(observed.scale, 0)
    usage = mean_usage(spec.resource, instances)
    if observed.stable == 0 and now >= state.unknown_until:
        reason = f"No request came within {spec.stable_window:g} s."
        return HpaDecision(0, observed, spec.resource, usage, spec.wanted_usage, 0, reason), HpaState()
    wanted = max(1, current)
    if usage is not None and spec.wanted_usage > 0:
        wanted = max(1, scaled_by(usage / spec.wanted_usage, len(instances), wanted))
    state = _remembered(state, spec, wanted, current, now)
    desired = max(1, _limited(_stabilised(state, spec, current, now), current, state))
    reason = _reason(spec, usage, wanted, desired)
    return HpaDecision(desired, observed, spec.resource, usage, spec.wanted_usage, wanted, reason), state


def mean_usage(resource: str, instances: Sequence[Usage]) -> float | None:
    """What an instance uses on average: percent of the CPU it asks for, or MiB. None where that is not known."""
    if resource == "cpu":
        asked = sum(instance.cpu_request for instance in instances)
        return 100 * sum(instance.cpu for instance in instances) / asked if asked else None
    if resource == "memory" and instances:
        return sum(instance.memory for instance in instances) / len(instances) / _MIB
    return None


def scaled_by(ratio: float, measured: int, current: int) -> int:
    """How many make the ratio 1, when `measured` of `current` instances were measured."""
    if abs(ratio - 1) <= _TOLERANCE:
        return current
    missing = max(current - measured, 0)
    if missing == 0:
        return math.ceil(ratio * measured)
    assumed = (ratio * measured + (missing if ratio < 1 else 0)) / current
    if abs(assumed - 1) <= _TOLERANCE or (assumed > 1) != (ratio > 1):
        return current
    return math.ceil(assumed * current)


def _remembered(state: HpaState, spec: HpaSpec, wanted: int, current: int, now: float) -> HpaState:
    longest = max(spec.grow_window, spec.shrink_window)
    return HpaState(
        wanted=(*(entry for entry in state.wanted if entry[0] > now - longest), (now, wanted)),
        scales=(*(entry for entry in state.scales if entry[0] > now - _PERIOD), (now, current)),
        unknown_until=state.unknown_until,
    )


def _stabilised(state: HpaState, spec: HpaSpec, current: int, now: float) -> int:
    least = min(wanted for when, wanted in state.wanted if when >= now - spec.grow_window)
    most = max(wanted for when, wanted in state.wanted if when >= now - spec.shrink_window)
    return min(max(current, least), most)


def _limited(desired: int, current: int, state: HpaState) -> int:
    if desired <= current:
        return desired
    began = min(scale for _, scale in state.scales)
    return min(desired, max(began + _GROW_BY, began * 2))


def _reason(spec: HpaSpec, usage: float | None, wanted: int, desired: int) -> str:
    unit = "%" if spec.resource == "cpu" else " MiB"
    if usage is None or not spec.wanted_usage:
        return f"The {spec.resource} that instances use is not known, so their number stays."
    text = f"{usage:.0f}{unit} of {spec.resource} at a target of {spec.wanted_usage:g}{unit} wants {wanted}"
    return f"{text}." if desired == wanted else f"{text}, made {desired} by stabilisation and scaling policies."
