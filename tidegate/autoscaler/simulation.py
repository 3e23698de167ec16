# SPDX-License-Identifier: Apache-2.0
"""A simulation of the autoscaler under a load: the same code, over a trace, in virtual time.

In: a trace (times with the number of concurrent requests, or with metric rps their arrivals per second), a revision's
annotations and container concurrency, the seconds that an instance takes to start. Out: a `Moment` per step. Called
by: `tidegate simulate`, so that people can tune before they deploy. Requests wait while instances are full; an instance
that is not wanted ends at once.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from tidegate.autoscaler import status
from tidegate.autoscaler.bounds import RPS
from tidegate.autoscaler.kpa import Kpa
from tidegate.autoscaler.policies import AnyPolicy, Learning
from tidegate.autoscaler.scale import scale
from tidegate.autoscaler.scaler import TICK, Scaler
from tidegate.model.conditions import condition
from tidegate.model.config import Configs
from tidegate.model.load import LoadReport
from tidegate.model.objects import Key, Object

_REVISION = Key("default", "simulated")
_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Moment:
    """The state at one time."""

    time: float
    load: float  # requests, running or waiting
    waiting: float  # requests without a place at an instance
    desired: int  # the number of instances that the load needs
    scale: int  # the number of instances within the bounds
    ready: int
    in_panic: bool


def simulate(
    trace: Sequence[tuple[float, float]],
    annotations: Mapping[str, str],
    *,
    container_concurrency: int = 0,
    start_seconds: float = 1.0,
    step: float = 1.0,
    policy: AnyPolicy | None = None,
) -> Iterator[Moment]:
    """A moment every `step` seconds from the first time of the trace to its last. `annotations` are full keys."""
    if not trace or any(later[0] < earlier[0] for earlier, later in pairwise(trace)):
        raise ValueError("a trace needs at least one line, and times that do not go back")
    simulation = _Simulation(
        _pod_autoscaler(annotations, container_concurrency), Configs(), policy or Kpa(), start_seconds
    )
    now, (end, _), following = trace[0][0], trace[-1], 0
    load = 0.0
    while now <= end:
        while following < len(trace) and trace[following][0] <= now:
            load, following = trace[following][1], following + 1
        yield simulation.step(now, load)
        now += step


class _Simulation:
    """One revision, its instances and the gate in front of them."""

    def __init__(self, pod_autoscaler: Object, configs: Configs, policy: AnyPolicy, start_seconds: float) -> None:
        self._object = pod_autoscaler
        self._configs = configs
        self._policy = policy
        self._learning = policy if isinstance(policy, Learning) else None
        self._start_seconds = start_seconds
        self._starts: list[float] = []  # when each instance was, or will be, ready; oldest first
        self._scaler: Scaler | None = None
        self._load = 0.0
        self._load_seconds = 0.0
        self._until: float | None = None
        self._next_tick = 0.0
        self._rests = False  # at zero, until a request comes or the class names the revision

    def step(self, now: float, load: float) -> Moment:
        if self._until is None:
            self._next_tick = now + TICK
        else:
            self._load_seconds += self._load * (now - self._until)
        begins = load > 0 and self._load == 0
        self._until, self._load = now, load
        ticks = now >= self._next_tick
        self._next_tick += TICK * ticks
        awake = bool(load) or (ticks and self._learning is not None and _REVISION in self._learning.due(now))
        if self._rests and not awake:
            return Moment(now, 0.0, 0.0, 0, 0, 0, in_panic=False)
        scaler = self._scaler = self._scaler or self._new_scaler(now)
        scaler.ready = sum(start <= now for start in self._starts)
        # An instance takes its container concurrency; without that, no request waits if there is an instance.
        places = scaler.ready * scaler.spec.total if self._object["spec"]["containerConcurrency"] else float("inf")
        waiting = max(load - places, 0.0) if scaler.ready else load
        report = self._report(now, load, waiting, begins=begins and scaler.spec.metric == RPS)
        self._decide(scaler, now, report, ticks=ticks, awake=awake)
        self._apply(scaler, now)
        self._rests = scaler.scale == scaler.desired == 0
        if self._rests:
            self._scaler = None
        in_panic = bool(scaler.decision is not None and scaler.decision.numbers().get("inPanic"))
        return Moment(now, load, waiting, max(scaler.desired, 0), scaler.scale, scaler.ready, in_panic)

    def _new_scaler(self, now: float) -> Scaler:
        seconds = status.seconds_standing(self._object, _wall(now))
        return Scaler(self._policy, self._object, self._configs, status.standing(self._object, seconds), now)

    def _decide(self, scaler: Scaler, now: float, report: LoadReport, *, ticks: bool, awake: bool) -> None:
        load, waiting = self._load, report.queued
        if load or scaler.meter is not None:
            if self._learning is not None:
                self._learning.learn(_REVISION, report)
            scaler.measure(now).add(report)
        if ticks:
            if scaler.scale != 0 or awake:
                scaler.decide(now, now)
        elif (waiting or (load and scaler.desired <= 0)) and scaler.meter is not None:
            scaler.decide(now, now, only_more=True)

    def _report(self, now: float, load: float, waiting: float, *, begins: bool) -> LoadReport:
        """`begins`: the report has only the first arrival of a second; the next report has all of them."""
        return LoadReport(
            revision=_REVISION,
            gateway="simulated",
            time=now,
            in_flight=round(load - waiting),
            queued=min(round(waiting), 1) if begins else round(waiting),
            requests=round(self._load_seconds) + begins,
            concurrency_seconds=self._load_seconds,
            queue_seconds=0.0,
            responses={},
            refused={},
            hosts={},
        )

    def _apply(self, scaler: Scaler, now: float) -> None:
        """Apply bounds, and bring status and instances in line with the decision."""
        scaled = scale(scaler.desired, scaler.bounds, status.standing(self._object, now - scaler.since))
        after = status.observed_status(
            self._object, scaled, scaler.ready or 0, scaler.bounds, _wall(now), scaler.decision
        )
        self._object = {**self._object, "status": after}
        active = condition(self._object, status.ACTIVE)["status"]
        if active != scaler.active:
            scaler.active, scaler.since = active, now
        scaler.scale = scaled.scale
        self._starts += [now + self._start_seconds] * (scaled.scale - len(self._starts))
        del self._starts[scaled.scale :]


def _pod_autoscaler(annotations: Mapping[str, str], container_concurrency: int) -> Object:
    """A PodAutoscaler that was scaled to zero long ago, unless it has a min-scale."""
    inactive = {"type": status.ACTIVE, "status": "False", "reason": "NoTraffic"}
    initialized = {"type": status.INITIALIZED, "status": "True"}
    metadata = {"namespace": _REVISION.namespace, "name": _REVISION.name, "generation": 1}
    return {
        "metadata": metadata | {"annotations": dict(annotations)},
        "spec": {"containerConcurrency": container_concurrency, "reachability": "Reachable"},
        "status": {"desiredScale": 0, "conditions": [inactive, initialized]},
    }


def _wall(now: float) -> datetime:
    return _EPOCH + timedelta(seconds=now)
