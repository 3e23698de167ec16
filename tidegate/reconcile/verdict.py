# SPDX-License-Identifier: Apache-2.0
"""A condition's status, reason and message, apart from the object that has the condition.

In: the condition of one object. Out: the same words, to set as a condition of another object. Called by: reconcilers,
which find out a condition first and set it once, so that its transition time moves only if it changed.
"""

from typing import NamedTuple, Self

from tidegate.model.conditions import Conditions, condition
from tidegate.model.objects import Object


class Verdict(NamedTuple):
    """What a condition says. `status`: True, False or Unknown, as text."""

    status: str
    reason: str = ""
    message: str = ""

    @classmethod
    def of(cls, obj: Object, kind: str = "Ready") -> Self:
        """What a condition of an object says now."""
        found = condition(obj, kind)
        return cls(found["status"], found.get("reason", ""), found.get("message", ""))


def mark(conditions: Conditions, kind: str, verdict: Verdict) -> None:
    """Set one condition."""
    if verdict.status == "True" and verdict.reason:
        conditions.mark_true_with(kind, verdict.reason, verdict.message)
    elif verdict.status == "True":
        conditions.mark_true(kind)
    elif verdict.status == "False":
        conditions.mark_false(kind, verdict.reason, verdict.message)
    else:
        conditions.mark_unknown(kind, verdict.reason, verdict.message)
