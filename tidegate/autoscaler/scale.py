# SPDX-License-Identifier: Apache-2.0
"""From the number that the load needs to the scale: bounds, initial scale, and the end of the last instance. Pure.

In: a number of instances from a class (-1: unknown), the revision's `Bounds`, and its `Standing`. Out: the scale to
write, and when time alone can change it. Called by: `controller.py`, for each decision. Rule: knative/serving,
pkg/reconciler/autoscaling/kpa/scaler.go, without the activator: requests go through the gate at every scale, so the
path of requests does not change before the last instance ends.
"""

from dataclasses import dataclass, field, replace

from tidegate.autoscaler.bounds import Bounds
from tidegate.model.conditions import ConditionStatus

UNKNOWN = -1
_ACTIVATION_BUFFER = 30.0  # seconds beyond the progress deadline, as Knative gives
_MOMENT = 0.001


@dataclass(frozen=True, slots=True)
class Standing:
    """The state of a revision: its Active condition, for how many seconds, and the scale that was written last."""

    active: ConditionStatus = "Unknown"
    seconds: float = 0.0
    initialized: bool = False  # whether it ever had its initial scale
    scale: int = UNKNOWN


@dataclass(frozen=True, slots=True)
class Scaled:
    """`scale` is the number of instances to have, `wants` the number that traffic needs: 0 while the last instance is
    retained, -1 if unknown."""

    scale: int
    wants: int
    check_after: float | None = None  # seconds
    because: str = field(default="", compare=False)  # a sentence, if it is not the class's number


def scale(desired: int, bounds: Bounds, standing: Standing) -> Scaled:
    """The scale for a policy's number.

    | within bounds  | Active  | scale                                                             |
    | --- | --- | --- |
    | unknown        | known   | stays                                                             |
    | > 0            | any     | that                                                              |
    | 0              | any     | 1 where scale to zero is off                                      |
    | 0              | Unknown | stays until the progress deadline and 30 s have passed, then 0    |
    | 0              | True    | 1 until it has been active for a stable window, then as if False  |
    | 0              | False   | the last one stays for the retention period, then 0               |
    """
    if desired < 0 and standing.active != "Unknown":
        return Scaled(standing.scale, UNKNOWN)
    wanted = starting(bounds, standing).clamp(desired)
    if wanted > 0:
        return Scaled(wanted, wanted, because=_bound_note(desired, wanted, bounds))
    if not bounds.scale_to_zero:
        return Scaled(1, 1, because="Scale to zero is off.")
    if standing.active == "Unknown":
        return _give_up(bounds, standing)
    if standing.active == "True":
        return _go_idle(bounds, standing)
    return _retain(bounds, standing.seconds, standing.scale)


def starting(bounds: Bounds, standing: Standing) -> Bounds:
    """The bounds with the initial scale as the lower one, until it was reached once."""
    if bounds.initial <= 1 or standing.initialized or not bounds.reachable:
        return bounds
    return replace(bounds, least=max(bounds.least, bounds.initial))


def _bound_note(desired: int, wanted: int, bounds: Bounds) -> str:
    if wanted == desired:
        return ""
    if wanted < desired:
        return f"max-scale makes it {wanted}."
    return f"{'min-scale' if wanted == bounds.least else 'initial-scale'} makes it {wanted}."


def _give_up(bounds: Bounds, standing: Standing) -> Scaled:
    limit = bounds.progress_deadline + _ACTIVATION_BUFFER
    if standing.seconds > limit:
        return Scaled(0, 0, because=f"It did not become active within {limit:g} s.")
    if standing.scale < 0:
        kept, because = bounds.clamp(bounds.initial), "The initial scale."
    else:
        kept, because = standing.scale, "It has yet to become active."
    # A moment beyond the limit: it is not enough to reach it.
    return Scaled(kept, UNKNOWN, limit - standing.seconds + _MOMENT, because)


def _go_idle(bounds: Bounds, standing: Standing) -> Scaled:
    if standing.seconds < bounds.stable_window:
        left = bounds.stable_window - standing.seconds
        return Scaled(
            1, 1, left, because="The last instance stays for a stable window after the revision became active."
        )
    return _retain(bounds, 0.0, standing.scale)


def _retain(bounds: Bounds, idle: float, current: int) -> Scaled:
    retention = bounds.retention if bounds.reachable else 0.0
    if idle >= retention or current == 0:
        return Scaled(0, 0)
    return Scaled(1, 0, retention - idle, because=f"The last instance is retained for {retention:g} s.")
