# SPDX-License-Identifier: Apache-2.0
"""Knative's pod autoscaler, the class `kpa.autoscaling.knative.dev`: instances by requests. Pure.

In: the user's settings (`Spec`), the measured load (`Observed`), the state after the last decision (`KpaState`), the
time. Out: a `KpaDecision` with every number that led to it, and the next state. Bounds and scale to zero come after
it, in `scale.py`. Rule: knative/serving, pkg/autoscaler/scaling/autoscaler.go.

Each window wants ceil(average / target) instances, within these limits:

- at least floor(ready / max-scale-down-rate), unless the revision is unreachable;
- at most ceil(max-scale-up-rate * ready);
- at least activation-scale, if it wants any at all.

Panic lasts while the number that the panic window wants, without limits, is `panic_threshold` times the ready
instances, and for one stable window after that. In panic the larger window counts, and the number never falls.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

from tidegate.autoscaler import bounds
from tidegate.autoscaler.policies import Observed, Spec
from tidegate.model.config import Configs
from tidegate.model.objects import Key, Object

_DELAY_STEP = 2.0  # seconds; the unit of Knative's scale-down delay


@dataclass(frozen=True, slots=True)
class KpaState:
    """The state that one decision leaves for the next one."""

    panic_since: float | None = None  # when the panic threshold was last passed; None: not in panic
    panic_scale: int = 0  # the largest number since panic began
    delayed: tuple[tuple[int, int], ...] = ()  # (step, wanted) within the scale-down delay, falling


@dataclass(frozen=True, slots=True)
class KpaDecision:
    """A number of instances, and the numbers that led to it."""

    desired: int
    observed: Observed
    target: float
    stable_wants: int
    panic_wants: int
    least: int  # by max-scale-down-rate
    most: int  # by max-scale-up-rate
    decided: int  # before panic and the scale-down delay
    excess_burst_capacity: float
    state: KpaState

    @property
    def in_panic(self) -> bool:
        return self.state.panic_since is not None

    @property
    def is_steady(self) -> bool:
        return not self.in_panic and self.observed.stable == self.observed.panic == 0

    @property
    def problem(self) -> None:
        """None: without a report there is no load, so the class can always follow its metric."""

    def numbers(self) -> dict[str, Any]:
        return {
            "desired": self.desired,
            "ready": self.observed.ready,
            "stable": round(self.observed.stable, 3),
            "panic": round(self.observed.panic, 3),
            "target": self.target,
            "stableWants": self.stable_wants,
            "panicWants": self.panic_wants,
            "least": self.least,
            "most": self.most,
            "inPanic": self.in_panic,
            "excessBurstCapacity": self.excess_burst_capacity,
        }

    @property
    def reason(self) -> str:
        """Why this number, in one sentence."""
        window, value, wants = "stable", self.observed.stable, self.stable_wants
        if self.in_panic and self.panic_wants > self.stable_wants:
            window, value, wants = "panic", self.observed.panic, self.panic_wants
        wanted = f"{value:g} over the {window} window at a target of {self.target:g} an instance wants {wants}"
        return f"{wanted}{self._adjusted(wants)}."

    def _adjusted(self, wants: int) -> str:
        if self.desired > self.decided:
            held = (
                "panic never shrinks"
                if self.in_panic and self.state.panic_scale == self.desired
                else "scale-down-delay"
            )
            return f", held at {self.desired}: {held}"
        if self.desired == wants:
            return ""
        cause = {self.least: "max-scale-down-rate", self.most: "max-scale-up-rate"}.get(
            self.desired, "activation-scale"
        )
        return f", made {self.desired} by {cause}"


class Kpa:
    """The class: by concurrent requests, or by requests a second."""

    def spec_of(self, pod_autoscaler: Object, configs: Configs) -> Spec:
        return bounds.spec_of(pod_autoscaler, configs)

    def initial(self, ready: int, now: float) -> KpaState:
        return initial(ready, now)

    def decide(
        self, revision: Key, spec: Spec, observed: Observed, state: KpaState, now: float
    ) -> tuple[KpaDecision, KpaState]:
        decision = decide(spec, observed, state, now)
        return decision, decision.state


def initial(ready: int, now: float) -> KpaState:
    """The state of a new scaler. With several instances already it starts in panic: the load that they serve is not
    known yet, so their number must not fall for a stable window."""
    return KpaState(panic_since=now if ready > 1 else None, panic_scale=ready)


def decide(spec: Spec, observed: Observed, state: KpaState, now: float) -> KpaDecision:
    """The number of instances that the load needs now."""
    ready = max(1, observed.ready)
    most = math.ceil(spec.max_scale_up_rate * ready)
    least = math.floor(ready / spec.max_scale_down_rate) if spec.reachable else 0
    stable_wants = math.ceil(observed.stable / spec.target)
    panic_wants = math.ceil(observed.panic / spec.target)
    stable = _activated(min(max(stable_wants, least), most), stable_wants, spec)
    panic = _activated(min(max(panic_wants, least), most), panic_wants, spec)

    state = _panicked(state, panic_wants / ready >= spec.panic_threshold, spec.stable_window, now)
    decided = desired = stable
    if state.panic_since is not None:
        decided = max(stable, panic)
        desired = max(decided, state.panic_scale)
        state = replace(state, panic_scale=desired)
    if spec.reachable and spec.scale_down_delay > 0:
        state = replace(state, delayed=_delayed(state.delayed, desired, spec.scale_down_delay, now))
        desired = state.delayed[0][1]
    return KpaDecision(
        desired=desired,
        observed=observed,
        target=spec.target,
        stable_wants=stable_wants,
        panic_wants=panic_wants,
        least=least,
        most=most,
        decided=decided,
        excess_burst_capacity=excess_burst_capacity(spec, observed.ready, observed.panic),
        state=state,
    )


def excess_burst_capacity(spec: Spec, ready: int, load: float) -> float:
    """The room for more requests at once beside the target burst capacity; negative if that would not fit. -1 if any
    burst is to be queued (target-burst-capacity -1), 0 if none is."""
    if spec.target_burst_capacity <= 0:
        return -1.0 if spec.target_burst_capacity < 0 else 0.0
    return math.floor(ready * spec.total - spec.target_burst_capacity - load)


def _activated(bounded: int, wants: int, spec: Spec) -> int:
    return max(bounded, spec.activation_scale) if spec.activation_scale > 1 and wants > 0 else bounded


def _panicked(state: KpaState, over_threshold: bool, stable_window: float, now: float) -> KpaState:
    if over_threshold:
        return replace(state, panic_since=now)
    if state.panic_since is not None and state.panic_since + stable_window < now:
        return replace(state, panic_since=None, panic_scale=0)
    return state


def _delayed(
    before: tuple[tuple[int, int], ...], desired: int, delay: float, now: float
) -> tuple[tuple[int, int], ...]:
    """The numbers within the delay that are larger than all later ones; the first is the largest."""
    step = int(now // _DELAY_STEP)
    oldest = step - math.ceil(delay / _DELAY_STEP)
    kept = [entry for entry in before if entry[0] > oldest and entry[1] > desired]
    return (*kept, (step, desired))
