# SPDX-License-Identifier: Apache-2.0
"""The class `hpa.autoscaling.knative.dev`: scaling by CPU, memory or a metric of the app.

In: the usage of a revision's instances (from the node agent) or the metric that they expose (`scraper.py`), and its
annotations. Out: a number of instances, as from Kubernetes' HorizontalPodAutoscaler; and unlike there zero, when no
request came for a stable window and min-scale is 0. Rules: kubernetes pkg/controller/podautoscaler,
replica_calculator.go and horizontal.go; for the annotations, knative/serving
pkg/reconciler/autoscaling/hpa/resources/hpa.go.

| metric | target                                         | ratio                                       |
| --- | --- | --- |
| cpu    | percent of the requested CPU, default 80       | total used / total requested / target       |
| memory | MiB per instance                               | mean of the instances / target              |
| other  | the metric's value per instance                | mean of the instances / target              |

The wanted number is the ratio times the number of instances; a ratio within 0.1 of 1 changes nothing. An instance
without a measurement (e.g. not yet ready) counts as 0 for growing, and as exactly on target for shrinking; without any
measurement the number stays. Within the stabilisation windows (`window` sets both) the smallest wanted number counts
for growing, the largest for shrinking. In 15 s the number grows at most by 4 or to the double, whichever is more.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tidegate.autoscaler import bounds, measures
from tidegate.autoscaler.annotations import Annotations
from tidegate.autoscaler.measures import Measure
from tidegate.autoscaler.policies import Observed, Spec
from tidegate.autoscaler.scraper import Scraped
from tidegate.model.config import Configs
from tidegate.model.objects import Key, Object
from tidegate.model.usage import Usage

_TOLERANCE = 0.1
_CPU_PERCENT = 80.0
_SHRINK_WINDOW = 300.0
_PERIOD = 15.0
_UNKNOWN = 60.0  # seconds after a restart without scaling to zero
_GROW_BY = 4
_LARGEST = 2**31 - 1  # of a scale
_UNABLE = "the HPA was unable to compute the replica count"  # Kubernetes' words, which users search for


@dataclass(frozen=True, slots=True)
class HpaSpec(Spec):
    """The settings of one revision. Windows, metric and algorithm are about its requests, which only decide on zero."""

    measured: str = "cpu"  # the metric to scale by
    wanted_usage: float = _CPU_PERCENT  # target per instance, in the unit of the measure; 0: not set
    grow_window: float = 0.0
    shrink_window: float = _SHRINK_WINDOW
    may_rest: bool = True  # whether it scales to zero without requests


@dataclass(frozen=True, slots=True)
class HpaState:
    """The wanted numbers and the scales with their times, as far back as the windows need."""

    wanted: tuple[tuple[float, int], ...] = ()
    scales: tuple[tuple[float, int], ...] = ()
    unknown_until: float = -math.inf  # until then, requests before a restart may be unknown


@dataclass(frozen=True, slots=True)
class HpaDecision:
    """A number of instances, and the numbers that led to it."""

    desired: int
    observed: Observed
    spec: HpaSpec
    measure: Measure
    wanted: int  # before stabilisation and scaling policies
    reason: str
    problem: tuple[str, str] | None = None

    @property
    def is_steady(self) -> bool:
        return self.desired == 0

    def numbers(self) -> dict[str, Any]:
        return {
            "desired": self.desired,
            "ready": self.observed.ready,
            "requests": round(self.observed.stable, 3),
            "metric": self.spec.measured,
            "usage": None if self.measure.usage is None else round(self.measure.usage, 3),
            "measured": self.measure.instances,
            "target": self.spec.wanted_usage,
            "wanted": self.wanted,
        }


class Hpa:
    """The class. Each decision asks for the usage or the metric."""

    def __init__(self, usage: Callable[[Key], Sequence[Usage]], scraped: Callable[[Key, str], Scraped]) -> None:
        self._usage = usage
        self._scraped = scraped

    def spec_of(self, pod_autoscaler: Object, configs: Configs) -> HpaSpec:
        given, requests = Annotations(pod_autoscaler), bounds.spec_of(pod_autoscaler, configs)
        measured = given.text("metric") or "cpu"
        window, held = given.seconds("window"), bounds.bounds_of(pod_autoscaler, configs)
        return HpaSpec(
            stable_window=requests.stable_window,
            panic_window=requests.panic_window,
            measured=measured,
            wanted_usage=given.number("target") or (_CPU_PERCENT if measured == "cpu" else 0.0),
            grow_window=0.0 if window is None else window,
            shrink_window=_SHRINK_WINDOW if window is None else window,
            may_rest=held.least == 0 and held.scale_to_zero,
        )

    def initial(self, ready: int, now: float) -> HpaState:
        return HpaState(((now, ready),), unknown_until=now + _UNKNOWN) if ready else HpaState()

    def decide(
        self, revision: Key, spec: HpaSpec, observed: Observed, state: HpaState, now: float
    ) -> tuple[HpaDecision, HpaState]:
        return decide(spec, observed, self._measure(revision, spec.measured), state, now)

    def _measure(self, revision: Key, measured: str) -> Measure:
        if measured == "cpu":
            return measures.cpu(self._usage(revision))
        if measured == "memory":
            return measures.memory(self._usage(revision))
        return measures.custom(self._scraped(revision, measured))


def decide(
    spec: HpaSpec, observed: Observed, measure: Measure, state: HpaState, now: float
) -> tuple[HpaDecision, HpaState]:
    """The number of instances that the usage needs now."""
    current = max(observed.scale, 0)
    if spec.may_rest and observed.stable == 0 and now >= state.unknown_until:
        reason = f"No request came within {spec.stable_window:g} s."
        return HpaDecision(0, observed, spec, measure, 0, reason), HpaState()
    wanted = max(1, current)
    if measure.usage is not None and spec.wanted_usage > 0:
        wanted = max(1, scaled_by(measure.usage / spec.wanted_usage, measure.instances, wanted))
    state = _remembered(state, spec, wanted, current, now)
    desired = max(1, _limited(_stabilised(state, spec, current, now), current, state))
    reason = _reason(spec, measure, wanted, desired)
    return HpaDecision(desired, observed, spec, measure, wanted, reason, _problem(spec, measure)), state


def scaled_by(ratio: float, measured: int, current: int) -> int:
    """The number that makes the ratio 1, if `measured` of `current` instances were measured."""
    if abs(ratio - 1) <= _TOLERANCE:
        return current
    missing = max(current - measured, 0)
    if missing == 0:
        return _whole(ratio * measured)
    assumed = (ratio * measured + (missing if ratio < 1 else 0)) / current
    if abs(assumed - 1) <= _TOLERANCE or (assumed > 1) != (ratio > 1):
        return current
    return _whole(assumed * current)


def _whole(instances: float) -> int:
    return math.ceil(min(instances, _LARGEST))


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


def _reason(spec: HpaSpec, measure: Measure, wanted: int, desired: int) -> str:
    if measure.usage is None or not spec.wanted_usage:
        return f"The {spec.measured} of the instances is not known, so their number stays."
    usage = f"{measure.usage:.0f}" if spec.measured in ("cpu", "memory") else f"{measure.usage:g}"
    text = f"{usage}{measure.unit} of {spec.measured} at a target of {spec.wanted_usage:g}{measure.unit} wants {wanted}"
    return f"{text}." if desired == wanted else f"{text}, made {desired} by stabilisation and scaling policies."


def _problem(spec: HpaSpec, measure: Measure) -> tuple[str, str] | None:
    if not spec.wanted_usage:
        return "MissingTarget", f"{_UNABLE}: the metric {spec.measured} needs a target"
    if not measure.failure:
        return None
    if spec.measured in ("cpu", "memory"):
        return "FailedGetResourceMetric", f"{_UNABLE}: failed to get {spec.measured} utilization: {measure.failure}"
    return "FailedGetPodsMetric", f"{_UNABLE}: unable to get metric {spec.measured}: {measure.failure}"
