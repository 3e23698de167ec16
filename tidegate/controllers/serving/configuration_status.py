# SPDX-License-Identifier: Apache-2.0
"""A Configuration's Revisions -> its status, and the Events of a change of status. Pure.

In: a Configuration and its Revisions. Out: a status that names the newest revision and the newest ready one. Called by:
`configuration`. Rule: knative/serving pkg/apis/serving/v1/configuration_lifecycle.go.

| newest revision | Ready |
| --- | --- |
| not ready yet | Unknown, with the reason that the revision gives |
| ready | True; it becomes the latest ready one |
| failed | False RevisionFailed; the latest ready one does not change |
| cannot be created, because its name is taken or the API rejects it | False RevisionFailed |
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from tidegate.model import names
from tidegate.model.conditions import Conditions, condition, is_ready
from tidegate.model.objects import Object, is_controlled_by, labels, status
from tidegate.reconcile.verdict import Verdict

_READY = "Ready"


def observed_status(configuration: Object, newest: Object, revisions: Sequence[Object], now: datetime) -> Object:
    """The status, given the revision of the newest generation and all revisions of this Configuration."""
    conditions = Conditions(configuration, (), now)
    name = newest["metadata"]["name"]
    ready_before = status(configuration).get("latestReadyRevisionName")
    ready_now = _latest_ready(configuration, newest, revisions) or ready_before
    ready = Verdict.of(newest)
    if ready_now == name and ready.status == "True":
        conditions.mark_true(_READY)
    elif ready.status == "False":
        message = f'Revision "{name}" failed with message: {ready.message}.'
        conditions.mark_false(_READY, "RevisionFailed", message)
    elif ready_before != name:
        conditions.mark_unknown(_READY, *_awaited(ready))
    return {
        "conditions": conditions.conditions(),
        "latestCreatedRevisionName": name,
        **({"latestReadyRevisionName": ready_now} if ready_now else {}),
    }


def _awaited(ready: Verdict) -> tuple[str, str]:
    """Why the newest revision is not ready yet; "" while it says no more than that it is new."""
    return (ready.reason, ready.message) if ready.status == "Unknown" and ready.message else ("", "")


def _latest_ready(configuration: Object, newest: Object, revisions: Sequence[Object]) -> str | None:
    """The newest ready revision, not older than the latest ready one so far. The revision of the newest generation
    comes first, even if it is an old one that the template names again."""
    own = [revision for revision in revisions if is_controlled_by(revision, configuration)]
    by_name = {revision["metadata"]["name"]: revision for revision in own}
    before = by_name.get(status(configuration).get("latestReadyRevisionName", ""))
    since = _generation_of(before) if before is not None else 0
    candidates = sorted(
        (revision for revision in own if _generation_of(revision) >= since), key=_generation_of, reverse=True
    )
    ready = (revision["metadata"]["name"] for revision in (newest, *candidates) if is_ready(revision))
    return next(ready, None)


def _generation_of(revision: Object) -> int:
    label = labels(revision).get(names.CONFIGURATION_GENERATION, "")
    return int(label) if label.isdecimal() else 0


def rejected_status(configuration: Object, message: str, now: datetime) -> Object:
    """The status while the newest generation's revision cannot be created."""
    conditions = Conditions(configuration, (), now)
    conditions.mark_false(_READY, "RevisionFailed", f"Revision creation failed with message: {message}.")
    return {**status(configuration), "conditions": conditions.conditions()}


class StatusEvent(NamedTuple):
    """An Event to record about a Configuration: a warning, or a normal one."""

    is_warning: bool
    reason: str
    message: str


def status_events(before: Object, after: Object) -> Iterator[StatusEvent]:
    """The Events of a change of status."""
    ready_before = status(before).get("latestReadyRevisionName")
    ready_after = status(after).get("latestReadyRevisionName")
    if ready_before != ready_after:
        if not ready_before:
            yield StatusEvent(is_warning=False, reason="ConfigurationReady", message="Configuration becomes ready")
        message = f'LatestReadyRevisionName updated to "{ready_after}"'
        yield StatusEvent(is_warning=False, reason="LatestReadyUpdate", message=message)
    failed = condition(after, _READY)
    created = status(after).get("latestCreatedRevisionName")
    if failed["status"] == "False" and failed != condition(before, _READY) and created:
        which = "ready" if created == ready_after else "created"
        reason = f"Latest{which.capitalize()}Failed"
        yield StatusEvent(is_warning=True, reason=reason, message=f'Latest {which} revision "{created}" has failed')
