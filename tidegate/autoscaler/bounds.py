# SPDX-License-Identifier: Apache-2.0
"""How a revision scales, from its annotations, its container concurrency and the ConfigMaps.

In: a PodAutoscaler and the `Configs`. Out: its class, the `Spec` that a class follows and the `Bounds` that `scale`
applies. Called by: `scaler.py` and the classes, when either input changed. Rule: knative/serving,
pkg/reconciler/autoscaling/resources/target.go and kpa/resources/decider.go, metric.go.

| metric      | capacity of an instance, `total`                  | share used as target       |
| --- | --- | --- |
| concurrency | container concurrency, else the default (100)     | container-concurrency-target-percentage |
| rps         | requests-per-second-target-default                | 70 %, always               |

The annotation `target` replaces the total, at most with the container concurrency; the annotation
`target-utilization-percentage` replaces the share.
"""

import math
from dataclasses import dataclass
from typing import TypeVar

from tidegate.autoscaler.annotations import Annotations
from tidegate.autoscaler.policies import Spec
from tidegate.model import config, names
from tidegate.model.config.autoscaler import SMALLEST_TARGET
from tidegate.model.objects import Object, annotations, spec

T = TypeVar("T")

RPS = "rps"
CONCURRENCY = "concurrency"
_RPS_SHARE = 0.7


@dataclass(frozen=True, slots=True)
class Bounds:
    """The limits that the user sets for any load."""

    least: int = 0
    most: int = 0  # 0: no bound
    initial: int = 1
    scale_to_zero: bool = True
    stable_window: float = 60.0
    retention: float = 0.0  # seconds that the last instance stays once the revision is idle
    progress_deadline: float = 600.0
    reachable: bool = True

    def clamp(self, wanted: int) -> int:
        """`wanted` within the bounds. If `least` is above `most`, the bound that `wanted` violates applies."""
        if wanted < self.least:
            return self.least
        return min(wanted, self.most) if self.most else wanted


def class_of(pod_autoscaler: Object, configs: config.Configs) -> str:
    """The name of the class that scales it."""
    return annotations(pod_autoscaler).get(names.AUTOSCALING_CLASS) or configs.autoscaler.pod_autoscaler_class


def spec_of(pod_autoscaler: Object, configs: config.Configs) -> Spec:
    """The spec that its class follows."""
    given, defaults = Annotations(pod_autoscaler), configs.autoscaler
    window = _or(given.seconds("window"), defaults.stable_window)
    target, total = _target(given, float(spec(pod_autoscaler).get("containerConcurrency") or 0), defaults)
    return Spec(
        metric=given.text("metric") or CONCURRENCY,
        target=target,
        total=total,
        stable_window=window,
        panic_window=_panic_window(
            window, _or(given.number("panic-window-percentage"), defaults.panic_window_percentage)
        ),
        panic_threshold=_or(given.number("panic-threshold-percentage"), defaults.panic_threshold_percentage) / 100,
        max_scale_up_rate=defaults.max_scale_up_rate,
        max_scale_down_rate=defaults.max_scale_down_rate,
        scale_down_delay=_or(given.seconds("scale-down-delay"), defaults.scale_down_delay),
        activation_scale=given.whole("activation-scale") or 0,
        target_burst_capacity=_or(given.number("target-burst-capacity"), defaults.target_burst_capacity),
        algorithm=_algorithm(given.text("metric-aggregation-algorithm") or ""),
        reachable=is_reachable(pod_autoscaler),
    )


def _target(given: Annotations, concurrency: float, defaults: config.AutoscalerConfig) -> tuple[float, float]:
    """The target of the metric per instance, and the capacity of an instance."""
    per_second = given.text("metric") == RPS
    if per_second:
        total, share = defaults.requests_per_second_target_default, _RPS_SHARE
    else:
        total = concurrency or defaults.container_concurrency_target_default
        share = defaults.container_concurrency_target_percentage
    asked = given.number("target")
    if asked is not None:
        total = asked if per_second or not concurrency else min(asked, concurrency)
    percentage = given.number("target-utilization-percentage")
    if percentage is not None:
        share = percentage / 100
    return max(SMALLEST_TARGET, total * share), total


def bounds_of(pod_autoscaler: Object, configs: config.Configs) -> Bounds:
    """The bounds that `scale` applies."""
    given, defaults = Annotations(pod_autoscaler), configs.autoscaler
    reachable = is_reachable(pod_autoscaler)
    return Bounds(
        least=_or(given.whole("min-scale"), defaults.min_scale) if reachable else 0,
        most=_or(given.whole("max-scale"), defaults.max_scale),
        initial=_initial(given.whole("initial-scale"), defaults),
        scale_to_zero=defaults.enable_scale_to_zero,
        stable_window=_or(given.seconds("window"), defaults.stable_window),
        retention=_or(given.seconds("scale-to-zero-pod-retention-period"), defaults.scale_to_zero_pod_retention_period),
        progress_deadline=_or(given.progress_deadline(), configs.deployment.progress_deadline),
        reachable=reachable,
    )


def is_reachable(pod_autoscaler: Object) -> bool:
    """Whether a Route may send it requests; true unless the object says "Unreachable"."""
    return spec(pod_autoscaler).get("reachability") != "Unreachable"


def _initial(asked: int | None, defaults: config.AutoscalerConfig) -> int:
    if asked is None or (asked == 0 and not defaults.allow_zero_initial_scale):
        return defaults.initial_scale
    return asked


def _algorithm(name: str) -> str:
    return "weighted-exponential" if name == "weightedExponential" else name


def _panic_window(stable: float, percentage: float) -> float:
    """A share of the stable window in whole seconds, at least 1; halves are rounded up as in Go."""
    return max(1.0, math.floor(stable * percentage / 100 + 0.5))


def _or(value: T | None, default: T) -> T:
    return default if value is None else value
