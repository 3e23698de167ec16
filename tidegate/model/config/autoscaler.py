# SPDX-License-Identifier: Apache-2.0
"""config-autoscaler: the scaling of revisions without annotations for it. Ranges are Knative's."""

from collections.abc import Iterator
from dataclasses import dataclass

from tidegate.model import names
from tidegate.model.config import values
from tidegate.model.config.values import Problem
from tidegate.model.text import literals

SMALLEST_TARGET = 0.01


def _fraction(text: str) -> float:
    value = literals.number(text)
    return value / 100 if value > 1 else value


@dataclass(frozen=True, slots=True)
class AutoscalerConfig:
    """`container_concurrency_target_percentage` is a fraction (0.7), written as 70 or 0.7; the other percentages are
    percentages. Times are seconds. A `max_scale` or `max_scale_limit` of 0 means no limit."""

    pod_autoscaler_class: str = values.text(names.KPA)
    enable_scale_to_zero: bool = values.switch(True)
    allow_zero_initial_scale: bool = values.switch(False)
    max_scale_up_rate: float = values.number(1000.0)
    max_scale_down_rate: float = values.number(2.0)
    container_concurrency_target_percentage: float = values.setting(0.7, _fraction)
    container_concurrency_target_default: float = values.number(100.0)
    requests_per_second_target_default: float = values.number(200.0)
    target_burst_capacity: float = values.number(211.0)
    panic_window_percentage: float = values.number(10.0)
    panic_threshold_percentage: float = values.number(200.0)
    activator_capacity: float = values.number(100.0)
    initial_scale: int = values.whole(1, bits=32)
    min_scale: int = values.whole(0, bits=32)
    max_scale: int = values.whole(0, bits=32)
    max_scale_limit: int = values.whole(0, bits=32)
    stable_window: float = values.seconds(60.0)
    scale_down_delay: float = values.seconds(0.0)
    scale_to_zero_grace_period: float = values.seconds(30.0)
    scale_to_zero_pod_retention_period: float = values.seconds(0.0)

    def problems(self) -> Iterator[Problem]:
        yield from self._wrong_times()
        yield from self._wrong_rates()
        yield from self._wrong_targets()
        yield from self._wrong_scales()

    def _wrong_times(self) -> Iterator[Problem]:
        if self.scale_to_zero_grace_period <= 0:
            yield "scale-to-zero-grace-period", f"must be positive, was {self.scale_to_zero_grace_period:g}s"
        if self.scale_down_delay < 0 or not float(self.scale_down_delay).is_integer():
            yield "scale-down-delay", f"must be whole seconds and not negative, was {self.scale_down_delay:g}s"
        if self.scale_to_zero_pod_retention_period < 0:
            problem = f"must not be negative, was {self.scale_to_zero_pod_retention_period:g}s"
            yield "scale-to-zero-pod-retention-period", problem
        if not 6 <= self.stable_window <= 3600 or not float(self.stable_window).is_integer():
            yield "stable-window", f"must be whole seconds between 6s and 1h, was {self.stable_window:g}s"

    def _wrong_rates(self) -> Iterator[Problem]:
        rates = {"max-scale-up-rate": self.max_scale_up_rate, "max-scale-down-rate": self.max_scale_down_rate}
        for key, rate in rates.items():
            if rate <= 1:
                yield key, f"must be greater than 1, was {rate:g}"
        if not 1 <= self.panic_window_percentage <= 100:
            yield "panic-window-percentage", f"must be between 1 and 100, was {self.panic_window_percentage:g}"
        if self.activator_capacity < 1:
            yield "activator-capacity", f"must be at least 1, was {self.activator_capacity:g}"

    def _wrong_targets(self) -> Iterator[Problem]:
        if self.target_burst_capacity < 0 and self.target_burst_capacity != -1:
            problem = f"must be -1 (unlimited) or not negative, was {self.target_burst_capacity:g}"
            yield "target-burst-capacity", problem
        share = self.container_concurrency_target_percentage
        if not 0 < share <= 1:
            yield "container-concurrency-target-percentage", f"must be above 0 and at most 100, was {share * 100:g}"
        elif share * self.container_concurrency_target_default < SMALLEST_TARGET:
            problem = f"with its percentage gives a target below {SMALLEST_TARGET}"
            yield "container-concurrency-target-default", problem
        if self.requests_per_second_target_default < SMALLEST_TARGET:
            problem = f"must be at least {SMALLEST_TARGET}, was {self.requests_per_second_target_default:g}"
            yield "requests-per-second-target-default", problem

    def _wrong_scales(self) -> Iterator[Problem]:
        if self.initial_scale < 0 or (self.initial_scale == 0 and not self.allow_zero_initial_scale):
            least = 0 if self.allow_zero_initial_scale else 1
            yield (
                "initial-scale",
                f"must be at least {least} (0 needs allow-zero-initial-scale), was {self.initial_scale}",
            )
        if self.min_scale < 0:
            yield "min-scale", f"must not be negative, was {self.min_scale}"
        if self.max_scale_limit < 0:
            yield "max-scale-limit", f"must not be negative, was {self.max_scale_limit}"
        elif self.max_scale_limit and not 1 <= self.max_scale <= self.max_scale_limit:
            yield "max-scale", f"must be between 1 and max-scale-limit {self.max_scale_limit}, was {self.max_scale}"
        elif self.max_scale < 0:
            yield "max-scale", f"must not be negative, was {self.max_scale}"
        elif 0 < self.max_scale < self.min_scale:
            yield "min-scale", f"must not exceed max-scale {self.max_scale}, was {self.min_scale}"
