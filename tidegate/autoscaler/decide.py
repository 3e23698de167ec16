# SPDX-License-Identifier: Apache-2.0
"""How many instances a revision wants for its load: Knative's pod autoscaler, as one pure function.

In: what the user asked (`Spec`), what was measured (`Observed`), what the last decision left behind (`State`), and the
time. Out: a `Decision` with every number that led to it, and the state for the next one. Who: `policies.py`; bounds and
scale to zero come after it, in `scale.py`. Rule: knative/serving, pkg/autoscaler/scaling/autoscaler.go.

Each window wants ceil(average / target) instances, and what it wants is

- not less than floor(ready / max-scale-down-rate), unless the revision is unreachable;
- not more than ceil(max-scale-up-rate * ready);
- not less than activation-scale, if it wants any at all.

Panic begins and goes on while what the panic window wants, unbounded, is `panic_threshold` times what is ready; it ends
when a stable window has passed since. While it lasts the larger of both counts, and the number never falls.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

_DELAY_STEP = 2.0  # seconds; what Knative's scale-down delay is counted in


@dataclass(frozen=True, slots=True)
class Spec:
    """How one revision scales, from its annotations, its container concurrency and config-autoscaler."""

    metric: str = "concurrency"  # or "rps"
    target: float = 70.0  # of the metric an instance
    total: float = 100.0  # what an instance can take: the target before utilisation
    stable_window: float = 60.0
    panic_window: float = 6.0
    panic_threshold: float = 2.0
    max_scale_up_rate: float = 1000.0
    max_scale_down_rate: float = 2.0
    scale_down_delay: float = 0.0
    activation_scale: int = 0
    target_burst_capacity: float = 211.0
    algorithm: str = ""
    reachable: bool = True


@dataclass(frozen=True, slots=True)
class Observed:
    """What is, at one moment: the metric over both windows, and how many instances there are."""

    stable: float
    panic: float
    ready: int
    scale: int = 0  # how many there shall be, by the decision before


@dataclass(frozen=True, slots=True)
class State:
    """What a decision leaves for the next one."""

    panic_since: float | None = None  # when the panic threshold was last passed; None: not in panic
    panic_scale: int = 0  # the most wanted since panic began
    delayed: tuple[tuple[int, int], ...] = ()  # (step, wanted) within the scale-down delay, falling


@dataclass(frozen=True, slots=True)
class Decision:
    """A number of instances, and how it came about."""

    desired: int
    observed: Observed
    target: float
    stable_wants: int
    panic_wants: int
    least: int  # what max-scale-down-rate allows
    most: int  # what max-scale-up-rate allows
    decided: int  # before panic and delay held it up
    excess_burst_capacity: float
    state: State

    @property
    def in_panic(self) -> bool:
        return self.state.panic_since is not None

    @property
    def is_steady(self) -> bool:
        return not self.in_panic and self.observed.stable == self.observed.panic == 0

    @property
    def problem(self) -> None:
        """Nothing keeps it from following its metric: where no load is heard of there is none."""

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
        """In one sentence."""
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


def initial(ready: int, now: float) -> State:
    """The state of a scaler made now. With instances there already it starts in panic: nothing is known yet of the load
    they serve, so they are not to become fewer for a stable window."""
    return State(panic_since=now if ready > 1 else None, panic_scale=ready)


def decide(spec: Spec, observed: Observed, state: State, now: float) -> Decision:
    """How many instances the load wants now."""
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
    return Decision(
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
    """How much more could come at once before instances are full; below zero, it could not. -1 when any burst is to be
    held (target-burst-capacity -1), 0 when none is."""
    if spec.target_burst_capacity <= 0:
        return -1.0 if spec.target_burst_capacity < 0 else 0.0
    return math.floor(ready * spec.total - spec.target_burst_capacity - load)


def _activated(bounded: int, wants: int, spec: Spec) -> int:
    return max(bounded, spec.activation_scale) if spec.activation_scale > 1 and wants > 0 else bounded


def _panicked(state: State, over_threshold: bool, stable_window: float, now: float) -> State:
    if over_threshold:
        return replace(state, panic_since=now)
    if state.panic_since is not None and state.panic_since + stable_window < now:
        return replace(state, panic_since=None, panic_scale=0)
    return state


def _delayed(
    before: tuple[tuple[int, int], ...], desired: int, delay: float, now: float
) -> tuple[tuple[int, int], ...]:
    """The numbers wanted within the delay that are larger than all after them; the first is the largest."""
    step = int(now // _DELAY_STEP)
    oldest = step - math.ceil(delay / _DELAY_STEP)
    kept = [entry for entry in before if entry[0] > oldest and entry[1] > desired]
    return (*kept, (step, desired))
