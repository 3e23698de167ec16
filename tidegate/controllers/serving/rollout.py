# SPDX-License-Identifier: Apache-2.0
"""Gradual rollout: how the share of a configuration's newest revision grows from 1 % to all of it. Pure.

In: what the Route asks for now, what its Ingress carries from the last turn, the time. Out: the shares to give now, and
when to look again. The state between turns is JSON in an annotation of the Ingress, in Knative's form (rule:
knative/serving pkg/reconciler/route/traffic/rollout.go). Times are nanoseconds, as there.

    a new latest revision         it gets 1 %, taken from the newest older one; its start is stamped
    the gateway obeys that 1 %    `observe_ready`: the pace, from how long that took and how long all may take
    from step to step             `step`: the next slice moves, from the newest older revision first
    one revision is left          done; the pace is forgotten
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Share:
    """How much of the Route's traffic a revision gets."""

    revision: str
    percent: int


@dataclass(frozen=True, slots=True)
class Pace:
    """How a rollout moves on. Without a `step_size` its first 1 % is not yet obeyed by the gateway."""

    start: int = 0
    next_step: int = 0
    step_duration: int = 0
    step_size: int = 0


@dataclass(frozen=True, slots=True)
class Shift:
    """The rollout of one configuration under one tag ("": the main host). `shares` are from oldest to newest and sum up
    to `percent`; one alone means that nothing is moving."""

    configuration: str
    percent: int
    shares: tuple[Share, ...]
    tag: str = ""
    pace: Pace = Pace()

    @property
    def done(self) -> bool:
        return len(self.shares) < 2


@dataclass(frozen=True, slots=True)
class Rollout:
    """All configurations of a Route, sorted by tag, then by name."""

    shifts: tuple[Shift, ...] = ()

    @property
    def done(self) -> bool:
        return all(shift.done for shift in self.shifts)

    def of(self, tag: str, configuration: str) -> Shift | None:
        return next((shift for shift in self.shifts if (shift.tag, shift.configuration) == (tag, configuration)), None)


def ordered(shifts: Sequence[Shift]) -> Rollout:
    return Rollout(tuple(sorted(shifts, key=lambda shift: (shift.tag, shift.configuration))))


def is_valid(rollout: Rollout) -> bool:
    """Whether a state read back can be gone on from."""
    return all(
        shift.percent <= 100
        and 0 <= shift.pace.step_size <= shift.percent
        and sum(share.percent for share in shift.shares) == shift.percent
        for shift in rollout.shifts
    )


def observe_ready(rollout: Rollout, now: int, duration: float) -> Rollout:
    """The gateway obeys the first 1 %: give every rollout that waited for it its pace. `duration`: seconds for all."""
    return Rollout(
        tuple(
            replace(shift, pace=_pace(shift, now, duration))
            if shift.pace.start > 0 and not shift.pace.step_duration
            else shift
            for shift in rollout.shifts
        )
    )


def step(current: Rollout, previous: Rollout | None, now: int) -> tuple[Rollout, int | None]:
    """The shares to give now, and when the next slice is due (None: nothing moves by time).

    | a configuration | then |
    | --- | --- |
    | was not there before, or under that tag | all at once |
    | has 1 % | all at once |
    | has nothing | is left out |
    | else | goes on from where it was |
    """
    if previous is None or not previous.shifts:
        return current, None
    shifts = []
    for shift in current.shifts:
        if shift.percent == 0:
            continue
        before = previous.of(shift.tag, shift.configuration)
        shifts.append(shift if before is None or shift.percent == 1 else _go_on(shift, before, now))
    due = [shift.pace.next_step for shift in shifts if shift.pace.next_step > 0]
    return ordered(shifts), min(due, default=None)


def _go_on(goal: Shift, before: Shift, now: int) -> Shift:
    """`goal` has one share, that of the latest revision, as if nothing had to move."""
    shares = _adjusted(before, goal.percent)
    if not shares:
        return goal
    if shares[-1].revision != goal.shares[0].revision:
        return replace(goal, shares=_begun(shares, goal.shares[0].revision), pace=Pace(start=now))
    if len(shares) == 1:
        return goal
    pace = replace(before.pace, step_size=min(before.pace.step_size, goal.percent))
    moving = replace(goal, shares=shares, pace=pace)
    return _stepped(moving, now) if moving.pace.step_size > 0 and now >= moving.pace.next_step else moving


def _adjusted(before: Shift, percent: int) -> tuple[Share, ...]:
    """The shares after the configuration's own share changed: more goes to the newest, less comes off the oldest."""
    shares = list(before.shares)
    excess = before.percent - percent
    while shares and excess > 0:
        oldest = shares.pop(0)
        if oldest.percent > excess:
            shares.insert(0, replace(oldest, percent=oldest.percent - excess))
        excess -= oldest.percent
    if shares and percent > before.percent:
        shares[-1] = replace(shares[-1], percent=shares[-1].percent + percent - before.percent)
    return tuple(shares)


def _begun(shares: tuple[Share, ...], revision: str) -> tuple[Share, ...]:
    """The newest revision that has traffic gives 1 % to the new one."""
    giver = max(index for index, share in enumerate(shares) if share.percent > 0)
    given = [replace(share, percent=share.percent - (index == giver)) for index, share in enumerate(shares)]
    return (*(share for share in given if share.percent > 0), Share(revision, 1))


def _stepped(shift: Shift, now: int) -> Shift:
    """One slice moves to the newest revision, from those before it, newest first."""
    older = list(shift.shares[:-1])
    rest = shift.pace.step_size
    while rest > 0 and older:
        giver = older.pop()
        if giver.percent > rest:
            older.append(replace(giver, percent=giver.percent - rest))
        rest -= giver.percent
    newest = shift.shares[-1]
    grown = replace(newest, percent=min(newest.percent + shift.pace.step_size, shift.percent))
    pace = replace(shift.pace, next_step=now + shift.pace.step_duration) if older else Pace()
    return replace(shift, shares=(*older, grown), pace=pace)


def _pace(shift: Shift, now: int, duration: float) -> Pace:
    """Equal slices: as many as fit when each takes as long as the first 1 % took, but none smaller than 1 %."""
    slowest = float(max(1, math.ceil((now - shift.pace.start) / SECOND)))
    left = max(1.0, duration - slowest)
    to_move = float(shift.percent - 1)
    steps = min(max(1.0, left / slowest), to_move)
    if steps <= 0:
        return shift.pace
    step_duration = left / steps * SECOND
    return replace(
        shift.pace,
        step_duration=int(step_duration),
        step_size=math.floor(to_move / steps + 0.5),
        next_step=int(float(now) + step_duration),
    )


def dumped(rollout: Rollout) -> str:
    """The rollout as the Ingress carries it."""
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
    """The rollout that an Ingress carries; None where there is none that can be gone on from."""
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
        shares=tuple(Share(share["revisionName"], int(share["percent"])) for share in data.get("revisions") or ()),
        pace=Pace(
            start=int(pace.get("starttime", 0)),
            next_step=int(pace.get("nextStepTime", 0)),
            step_duration=int(pace.get("stepDuration", 0)),
            step_size=int(pace.get("stepSize", 0)),
        ),
    )
