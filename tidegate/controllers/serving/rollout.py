# SPDX-License-Identifier: Apache-2.0
"""Gradual rollout: the share of a configuration's newest revision grows from 1 % to all of the configuration's. Pure.

In: the shares that the Route asks for, the state after the last turn (`rollout_state`), and the time. Out: the shares
now, and when they change next. Called by: `route_plan`. Times are nanoseconds, as in Knative. Rule: knative/serving
pkg/reconciler/route/traffic/rollout.go.

| event | then |
| --- | --- |
| a new latest revision | it gets 1 %, taken from the newest older revision; the start time is noted |
| the gateway has that 1 % in effect | `observe_ready` sets the pace, from the time that took and the rollout duration |
| the next step is due | `step` moves the next slice, from the newest older revision first |
| one revision is left | the rollout is done; the pace is reset |
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class RevisionShare:
    """The percentage of the Route's traffic that a revision gets."""

    revision: str
    percent: int


@dataclass(frozen=True, slots=True)
class Pace:
    """When and by how much a rollout advances. While `step_size` is 0, the gateway does not have the first 1 % in
    effect yet."""

    start: int = 0
    next_step: int = 0
    step_duration: int = 0
    step_size: int = 0


@dataclass(frozen=True, slots=True)
class Shift:
    """The rollout of one configuration under one tag ("": the main host). `shares` are ordered from the oldest revision
    to the newest and sum up to `percent`; a single share means that no rollout is in progress."""

    configuration: str
    percent: int
    shares: tuple[RevisionShare, ...]
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
    """Whether a rollout can continue from this state."""
    return all(
        shift.percent <= 100
        and 0 <= shift.pace.step_size <= shift.percent
        and sum(share.percent for share in shift.shares) == shift.percent
        for shift in rollout.shifts
    )


def observe_ready(rollout: Rollout, now: int, duration: float) -> Rollout:
    """The gateway has the first 1 % in effect: set the pace of every rollout that waited for it. `duration`: seconds
    that a whole rollout takes."""
    return Rollout(
        tuple(
            replace(shift, pace=_pace(shift, now, duration))
            if shift.pace.start > 0 and not shift.pace.step_duration
            else shift
            for shift in rollout.shifts
        )
    )


def step(current: Rollout, previous: Rollout | None, now: int) -> tuple[Rollout, int | None]:
    """The shares now, and when the next slice is due (None: no rollout is waiting for a time).

    | a configuration | its share |
    | --- | --- |
    | is new, or new under that tag | moves at once |
    | has 1 % | moves at once |
    | has 0 % | is left out |
    | any other | continues from its previous state |
    """
    if previous is None or not previous.shifts:
        return current, None
    shifts = []
    for shift in current.shifts:
        if shift.percent == 0:
            continue
        before = previous.of(shift.tag, shift.configuration)
        shifts.append(shift if before is None or shift.percent == 1 else _continued(shift, before, now))
    due = [shift.pace.next_step for shift in shifts if shift.pace.next_step > 0]
    return ordered(shifts), min(due, default=None)


def _continued(goal: Shift, before: Shift, now: int) -> Shift:
    """The next state of one configuration. `goal`: all of its share at the latest revision."""
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


def _adjusted(before: Shift, percent: int) -> tuple[RevisionShare, ...]:
    """The shares after the configuration's own share changed: the newest gets an increase, the oldest loses a cut."""
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


def _begun(shares: tuple[RevisionShare, ...], revision: str) -> tuple[RevisionShare, ...]:
    """The newest revision that has traffic gives 1 % to the new one."""
    giver = max(index for index, share in enumerate(shares) if share.percent > 0)
    given = [replace(share, percent=share.percent - (index == giver)) for index, share in enumerate(shares)]
    return (*(share for share in given if share.percent > 0), RevisionShare(revision, 1))


def _stepped(shift: Shift, now: int) -> Shift:
    """One slice moves to the newest revision, from the older ones, the newest of them first."""
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
    """Equal slices of at least 1 %: as many as fit if each takes as long as the first 1 % took."""
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
