# SPDX-License-Identifier: Apache-2.0
"""Status conditions with Knative's semantics: dependents decide Ready, and a transition time changes only with a value.

In: the current conditions of an object, then calls of `mark_*`. Out: `conditions()`, sorted by type, for its status.
Rule: knative.dev/pkg apis.ConditionSet (living):

| dependents | Ready |
| --- | --- |
| any False | False, with the reason and message of the dependent that changed last |
| else any Unknown | Unknown, with the reason and message of the dependent that changed last |
| else | True |

Conditions that are not dependents have severity Info and do not change Ready.
"""

from datetime import datetime
from typing import Any, Literal

from tidegate.model.objects import Object, status

ConditionStatus = Literal["True", "False", "Unknown"]


def timestamp(moment: datetime) -> str:
    """A time in the format of the API: RFC 3339, whole seconds, UTC."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def condition(obj: Object, kind: str) -> Object:
    """The condition of that type; if it is missing, Unknown without a reason."""
    for entry in status(obj).get("conditions") or ():
        if entry["type"] == kind:
            return dict(entry)
    return {"type": kind, "status": "Unknown"}


def is_true(obj: Object, kind: str = "Ready") -> bool:
    return bool(condition(obj, kind)["status"] == "True")


def is_false(obj: Object, kind: str = "Ready") -> bool:
    return bool(condition(obj, kind)["status"] == "False")


def is_ready(obj: Object) -> bool:
    """Whether Ready is True for the current generation of the spec."""
    return is_true(obj) and status(obj).get("observedGeneration") == obj["metadata"].get("generation")


class Conditions:
    """The conditions of one object while its reconciler works on it."""

    def __init__(self, obj: Object, dependents: tuple[str, ...], now: datetime) -> None:
        self._dependents = dependents
        self._now = timestamp(now)
        self._entries: dict[str, dict[str, Any]] = {
            entry["type"]: dict(entry) for entry in status(obj).get("conditions") or ()
        }
        self._changes: dict[str, int] = {}
        for kind in (*dependents, "Ready"):
            if kind not in self._entries:
                self._set(kind, "Unknown")
        self._derive_ready()

    def mark_true(self, kind: str) -> None:
        self._mark(kind, "True")

    def mark_true_with(self, kind: str, reason: str, message: str) -> None:
        """True with a reason, e.g. CertificateProvisioned of a Route with TLSNotEnabled."""
        self._mark(kind, "True", reason, message)

    def mark_false(self, kind: str, reason: str, message: str) -> None:
        self._mark(kind, "False", reason, message)

    def mark_unknown(self, kind: str, reason: str = "", message: str = "") -> None:
        self._mark(kind, "Unknown", reason, message)

    def get(self, kind: str) -> Object:
        return dict(self._entries.get(kind, {"type": kind, "status": "Unknown"}))

    def conditions(self) -> list[Object]:
        return [dict(self._entries[kind]) for kind in sorted(self._entries)]

    def _mark(self, kind: str, state: ConditionStatus, reason: str = "", message: str = "") -> None:
        self._set(kind, state, reason, message)
        self._derive_ready()

    def _set(self, kind: str, state: ConditionStatus, reason: str = "", message: str = "") -> None:
        wanted = {"type": kind, "status": state}
        if kind not in self._dependents and kind != "Ready":
            wanted["severity"] = "Info"
        wanted |= {name: text for name, text in (("reason", reason), ("message", message)) if text}
        before = self._entries.get(kind)
        if before is not None and {**before, "lastTransitionTime": None} == {**wanted, "lastTransitionTime": None}:
            return
        self._entries[kind] = {**wanted, "lastTransitionTime": self._now}
        self._changes[kind] = len(self._changes)

    def _derive_ready(self) -> None:
        for state in ("False", "Unknown"):
            in_state = [kind for kind in self._dependents if self._entries[kind]["status"] == state]
            if in_state:
                cause = self._entries[max(in_state, key=self._changed_at)]
                self._set("Ready", state, cause.get("reason", ""), cause.get("message", ""))
                return
        if self._dependents:
            self._set("Ready", "True")

    def _changed_at(self, kind: str) -> tuple[str, int]:
        return self._entries[kind].get("lastTransitionTime", ""), self._changes.get(kind, -1)
