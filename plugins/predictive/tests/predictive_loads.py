# SPDX-License-Identifier: Apache-2.0
"""Invented daily and weekly loads, and a trial of the class with a clock that tests advance."""

import math
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tidegate_predictive.history import Bin, Series
from tidegate_predictive.model import BIN, DAY, Curve, Model
from tidegate_predictive.policy import Predictive, PredictiveDecision

from tidegate.autoscaler.policies import Observed, PolicyContext
from tidegate.kit.clock import VirtualClock
from tidegate.model import names
from tidegate.model.config import Configs
from tidegate.model.load import LoadReport
from tidegate.model.objects import Key, Object

REVISION = Key("default", "hello-00001")
EPOCH_BIN = int(VirtualClock(0.0).wall().timestamp() // BIN)  # a midnight


def office(time: int) -> float:
    """Concurrent requests: from eight to six, on workdays twice as many as on the last two days of a week."""
    slot, day = time % DAY, time // DAY % 7
    if not 96 <= slot < 216:
        return 0.0
    return (30.0 if day < 5 else 15.0) * (1 + 0.5 * math.sin((slot - 96) / 120 * math.pi))


def waves(time: int) -> float:
    return 20.0 + 15.0 * math.sin(time / DAY * 2 * math.pi) + 5.0 * math.sin(time / DAY / 7 * 2 * math.pi)


def series(load: Callable[[int], float], days: float, *, end: int = EPOCH_BIN, noise: float = 0.0) -> Series:
    """`days` days until `end`; each request takes a second."""
    made, dice = Series(), random.Random(7)
    for time in range(end - round(days * DAY), end):
        value = max(load(time) * (1 + noise * dice.gauss(0, 1)), 0.0)
        made.append(Bin(time, BIN, value * BIN, value * BIN))
    return made


def flat(load: float, *, deviation: float = 0.0) -> Model:
    """A model of a constant load."""
    curve = Curve([load] * (7 * DAY), [[deviation] * DAY] * 5)
    return Model(curve, curve, 28.0, weekly=True)


def pod_autoscaler(name: str, given: Mapping[str, str]) -> Object:
    """`given`: annotations of the class, without their prefix."""
    annotations = {f"predictive.tidegate.dev/{key}": value for key, value in given.items()}
    metadata = {"namespace": "default", "name": name, "annotations": annotations}
    metadata |= {"labels": {names.CONFIGURATION: "hello"}}
    return {"metadata": metadata, "spec": {"containerConcurrency": 10, "reachability": "Reachable"}}


class Trial:
    """One or several revisions of the class; their gate reports every ten seconds."""

    def __init__(self, fit: Callable[[Series], Model], folder: Path | None = None, *, wall: float = 0.0) -> None:
        self.clock = VirtualClock(0.0)
        self.now = wall  # seconds since a midnight
        self.policy = Predictive(PolicyContext(clock=self.clock, folder=folder), fit)
        self.counters: dict[Key, list[float]] = {}
        self.states: dict[Key, Any] = {}

    def know(self, name: str = REVISION.name, **given: str) -> Any:
        return self.policy.spec_of(pod_autoscaler(name, given), Configs())

    def pass_time(self, seconds: float, load: float = 0.0, revision: Key = REVISION) -> None:
        """Let time pass with `load` concurrent requests; each takes a second."""
        counted = self.counters.setdefault(revision, [0.0, 0.0])
        self.policy.due(self.now)
        self._report(revision, load)
        end = self.now + seconds
        while self.now < end:
            step = min(10.0, end - self.now)
            self.now += step
            counted[0] += load * step
            counted[1] += load * step
            self._report(revision, load)
            self.policy.due(self.now)

    def _report(self, revision: Key, load: float) -> None:
        counted = self.counters[revision]
        report = LoadReport(
            revision=revision,
            gateway="gate-1",
            time=self.now,
            in_flight=round(load),
            queued=0,
            requests=round(counted[1]),
            concurrency_seconds=counted[0],
            queue_seconds=0.0,
            responses={},
            refused={},
            hosts={},
        )
        self.policy.learn(revision, report)

    def decide(self, spec: Any, load: float = 0.0, ready: int = 0, scale: int = 0) -> PredictiveDecision:
        observed = Observed(load, load, ready, scale)
        state = self.states.setdefault(REVISION, self.policy.initial(0, self.now))
        decision, self.states[REVISION] = self.policy.decide(REVISION, spec, observed, state, self.now)
        return decision
