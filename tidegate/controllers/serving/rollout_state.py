# SPDX-License-Identifier: Apache-2.0
"""The state of a rollout between two turns: JSON in an annotation of the Ingress, in Knative's form. Pure.

In: a `Rollout`. Out: text, and back. Called by: `ingress` and `route_plan`. Rule: knative/serving
pkg/reconciler/route/traffic/rollout.go.
"""

import json
from typing import Any

from tidegate.controllers.serving.rollout import Pace, RevisionShare, Rollout, Shift, is_valid


def dumped(rollout: Rollout) -> str:
    """A rollout as an Ingress stores it."""
    return json.dumps(as_json(rollout), separators=(",", ":"))


def as_json(rollout: Rollout) -> dict[str, Any]:
    shifts = [
        {
            "configurationName": shift.configuration,
            **({"tag": shift.tag} if shift.tag else {}),
            "percent": shift.percent,
            **(
                {"revisions": [{"revisionName": share.revision, "percent": share.percent} for share in shift.shares]}
                if shift.shares
                else {}
            ),
            "stepParams": {name: value for name, value in _pace_as_json(shift.pace) if value},
        }
        for shift in rollout.shifts
    ]
    return {"configurations": shifts} if shifts else {}


def _pace_as_json(pace: Pace) -> list[tuple[str, int]]:
    return [
        ("starttime", pace.start),
        ("nextStepTime", pace.next_step),
        ("stepDuration", pace.step_duration),
        ("stepSize", pace.step_size),
    ]


def loaded(text: str) -> Rollout | None:
    """The rollout that an Ingress stores; None if it stores none from which a rollout can continue."""
    try:
        rollout = from_json(json.loads(text))
    except (ValueError, KeyError, TypeError, AttributeError):  # anybody may write annotations
        return None
    return rollout if is_valid(rollout) else None


def from_json(data: dict[str, Any]) -> Rollout:
    return Rollout(tuple(_shift_from_json(shift) for shift in data.get("configurations") or ()))


def _shift_from_json(data: dict[str, Any]) -> Shift:
    pace = data.get("stepParams") or {}
    return Shift(
        configuration=data["configurationName"],
        tag=data.get("tag", ""),
        percent=int(data["percent"]),
        shares=tuple(
            RevisionShare(share["revisionName"], int(share["percent"])) for share in data.get("revisions") or ()
        ),
        pace=Pace(
            start=int(pace.get("starttime", 0)),
            next_step=int(pace.get("nextStepTime", 0)),
            step_duration=int(pace.get("stepDuration", 0)),
            step_size=int(pace.get("stepSize", 0)),
        ),
    )
