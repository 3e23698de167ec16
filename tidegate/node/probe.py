# SPDX-License-Identifier: Apache-2.0
"""A container's probe, and the times of its attempts.

In: a probe of a Pod's spec. Out: `Schedule`, the times of attempts until a probe succeeds; `Ticks`, the times from then
on. Called by: `prober.py`; `attempts.py` makes the attempts.

A failure counts once a period, at the period's end. So an app has `initialDelaySeconds` and `failureThreshold` times
`periodSeconds` to start. Meanwhile there are more attempts in a tight schedule, whose failures do not count. The wait
between them is a twentieth of the time since the start, at least 1 ms and at most 10 ms, so that an app is found ready
within 5 % of its own start time. After the first second the wait is 1 % of the time since the start, at most 1 s.

An attempt may take longer than a period (`timeoutSeconds`). It counts once; the periods that it spans do not count.
"""

import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from tidegate.model.objects import Object

ProbeKind = Literal["readiness", "liveness", "startup"]

_PERIOD = 10.0  # seconds
_SHORTEST, _TIGHT, _LONGEST = 0.001, 0.010, 1.0


async def _unchecked(port: int) -> str | None:
    return None


@dataclass(frozen=True, slots=True)
class ProbeTarget:
    """The container that a probe reaches: its address, the ports of the serving container by the names that a spec may
    use, and a way to run a program beside it. `foreign` returns the fault of the listener on a port, or None."""

    host: str
    ports: Mapping[str, int]
    execute: Callable[[list[str]], Awaitable[int]]
    foreign: Callable[[int], Awaitable[str | None]] = _unchecked

    def port(self, named: object) -> int:
        """The port that a probe names; the serving port if it names none."""
        name = str(named or "")
        number = int(name) if name.isdecimal() else 0
        return self.ports.get(name) or number or self.ports.get("", 0)


@dataclass(frozen=True, slots=True)
class Probe:
    """One probe with its defaults; times are in seconds. `tight`: whether there are attempts between the periods until
    it first succeeds."""

    action: Object
    initial_delay: float
    period: float
    timeout: float
    failures: int
    successes: int
    tight: bool

    @classmethod
    def of(cls, kind: ProbeKind, spec: Object | None) -> "Probe | None":
        """None if the container has no such probe."""
        if not spec:
            return None
        return cls(
            action=spec,
            initial_delay=float(spec.get("initialDelaySeconds") or 0),
            period=float(spec.get("periodSeconds") or _PERIOD),
            timeout=float(spec.get("timeoutSeconds") or 1),
            failures=int(spec.get("failureThreshold") or 3),
            successes=int(spec.get("successThreshold") or 1) if kind == "readiness" else 1,
            tight=kind != "liveness",
        )


class Schedule:
    """The attempts of a probe that has not succeeded yet, and which failures count. `age`: the seconds that the
    container has run at `now`, because `initialDelaySeconds` begins at its start."""

    def __init__(self, probe: Probe, now: float, age: float = 0.0) -> None:
        self._probe = probe
        self._began = now + max(0.0, probe.initial_delay - age)
        self._end = self._began + probe.period  # of the current period
        self._first = probe.tight

    def wait(self, now: float) -> float:
        """Seconds until the next attempt. Called once for each attempt."""
        if self._first:
            self._first = False
            return max(0.0, self._began - now)
        due = self._end - now
        return max(0.0, min(due, self._gap(now - self._began)) if self._probe.tight else due)

    def counts(self, now: float) -> bool:
        """Whether a failure at `now` counts, because a period has ended. Called once for each failure."""
        if now < self._end:
            return False
        self._end += self._probe.period * ((now - self._end) // self._probe.period + 1)
        return True

    def _gap(self, passed: float) -> float:
        if "tcpSocket" not in self._probe.action and passed < _LONGEST:
            passed *= 2  # other attempts cost the app something
        return max(_SHORTEST, min(passed / 20, _TIGHT) if passed < 1 else min(passed / 100, _LONGEST))


class Ticks:
    """The attempts of a probe that has succeeded: one a period, and at once after an attempt that took longer."""

    def __init__(self, probe: Probe, first: float) -> None:
        self._period = probe.period
        self._due = first

    def wait(self, now: float) -> float:
        """Seconds until the next attempt. Called once for each attempt."""
        wait = max(0.0, self._due - now)
        self._due = max(self._due, now) + self._period
        return wait


def spread(period: float) -> float:
    """The first wait of a periodic probe, at random, so that the probes of many instances do not coincide."""
    return period * random.random()  # noqa: S311 - spreads, guards nothing
