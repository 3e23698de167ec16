# SPDX-License-Identifier: Apache-2.0
"""The status of a PodAutoscaler, with Knative's conditions, reasons and messages. Pure.

In: the object, the scale decided for it and the number of ready instances. Out: the whole new status. Called by:
`writer.py`, which writes it if it differs. Rule: knative/serving, pkg/reconciler/autoscaling/kpa/kpa.go.

| wants             | ready           | Active                                                             |
| --- | --- | --- |
| 0, or needs 0     | any             | False NoTraffic; False TimedOut where it was still to become True  |
| other             | < needed        | Unknown Queued; False stays False while nothing is wanted          |
| other             | >= needed       | True; False stays False while nothing is wanted                    |

ScalingActive, a condition of Kubernetes' HPA, exists once a class could not follow its metric, and is False meanwhile.

`needed` is the larger of min-scale and the initial scale until the initial scale was reached once, then the larger of
min-scale and 1.
"""

from datetime import datetime
from typing import Any

from tidegate.autoscaler.bounds import Bounds
from tidegate.autoscaler.policies import Decision
from tidegate.autoscaler.scale import Scaled, Standing
from tidegate.model.conditions import Conditions, condition, is_true, timestamp
from tidegate.model.objects import Object, generation, status

ACTIVE = "Active"
INITIALIZED = "ScaleTargetInitialized"
SCALING_ACTIVE = "ScalingActive"
TIMED_OUT = "TimedOut"
_DEPENDENTS = (ACTIVE, INITIALIZED)
_DECISIONS = 5  # the number of decisions in a status


def seconds_standing(pod_autoscaler: Object, now: datetime) -> float:
    """For how long its Active condition has had its status, to the second."""
    since = condition(pod_autoscaler, ACTIVE).get("lastTransitionTime")
    return max((now - datetime.fromisoformat(since)).total_seconds(), 0.0) if since else 0.0


def standing(pod_autoscaler: Object, seconds: float) -> Standing:
    """Its standing by its status. `seconds`: for how long its Active condition has had its status."""
    return Standing(
        active=condition(pod_autoscaler, ACTIVE)["status"],
        seconds=seconds,
        initialized=is_true(pod_autoscaler, INITIALIZED),
        scale=int(status(pod_autoscaler).get("desiredScale", -1)),
    )


def needed(bounds: Bounds, *, initialized: bool) -> int:
    """The number of ready instances that makes the revision active."""
    return max(bounds.least, 1 if initialized else bounds.initial)


def observed_status(
    pod_autoscaler: Object, scaled: Scaled, ready: int, bounds: Bounds, now: datetime, decision: Decision | None = None
) -> Object:
    """The status for `scaled`. If the scale changes, `decision` is added to `status.decisions`."""
    before = status(pod_autoscaler)
    conditions = Conditions(pod_autoscaler, _DEPENDENTS, now)
    initialized = conditions.get(INITIALIZED)["status"] == "True"
    need = needed(bounds, initialized=initialized)
    if ready >= need:
        conditions.mark_true(INITIALIZED)
    _mark_active(conditions, scaled.wants, ready, need)
    _mark_scaling_active(conditions, None if decision is None else decision.problem)
    after = before | {
        "observedGeneration": generation(pod_autoscaler),
        "serviceName": pod_autoscaler["metadata"]["name"],
        "desiredScale": scaled.scale,
        "actualScale": ready,
        "conditions": conditions.conditions(),
    }
    if scaled.scale != before.get("desiredScale"):
        latest = {"time": timestamp(now), "scale": scaled.scale, **explained(decision, scaled)}
        after["decisions"] = [latest, *before.get("decisions", ())][:_DECISIONS]
    return after


def explained(decision: Decision | None, scaled: Scaled) -> dict[str, Any]:
    """One decision in numbers, for `status.decisions`."""
    if decision is None:
        return {"reason": scaled.because}
    return {**decision.numbers(), "reason": f"{decision.reason} {scaled.because}".strip()}


def _mark_active(conditions: Conditions, wants: int, ready: int, need: int) -> None:
    was = conditions.get(ACTIVE)["status"]
    if wants == 0 or need == 0:
        if was == "Unknown" and need > 0:
            conditions.mark_false(ACTIVE, TIMED_OUT, "The target could not be activated.")
        elif was != "False":
            conditions.mark_false(ACTIVE, "NoTraffic", "The target is not receiving traffic.")
    elif wants > 0 or was != "False":
        if ready < need:
            conditions.mark_unknown(
                ACTIVE, "Queued", "Requests to the target are being buffered as resources are provisioned."
            )
        else:
            conditions.mark_true(ACTIVE)


def _mark_scaling_active(conditions: Conditions, problem: tuple[str, str] | None) -> None:
    if problem is not None:
        conditions.mark_false(SCALING_ACTIVE, *problem)
    elif conditions.get(SCALING_ACTIVE)["status"] == "False":
        conditions.mark_true(SCALING_ACTIVE)
