# SPDX-License-Identifier: Apache-2.0
"""The settings, the load and the last decision of one revision that is not at rest at zero.

In: its PodAutoscaler and the ConfigMaps (`follow`), the gates' reports (through `measure`), the time. Out: decisions,
and the bounds of its scale. Called by: `controller.py` and `simulation.py`.
"""

from typing import Any

from tidegate.autoscaler.bounds import bounds_of
from tidegate.autoscaler.meter import Meter
from tidegate.autoscaler.policies import AnyPolicy, Decision, Learning, Observed, Spec
from tidegate.autoscaler.scale import UNKNOWN, Standing
from tidegate.model.config import Configs
from tidegate.model.objects import Object, annotations, key, spec

TICK = 2.0  # seconds between decisions; a constant in Knative too


class Scaler:
    """One revision's settings, load and last decision."""

    __slots__ = (
        "_given",
        "active",
        "bounds",
        "configs",
        "decided_at",
        "decision",
        "desired",
        "key",
        "learning",
        "meter",
        "policy",
        "ready",
        "rested",
        "scale",
        "since",
        "spec",
        "state",
    )

    def __init__(
        self, policy: AnyPolicy, pod_autoscaler: Object, configs: Configs, standing: Standing, now: float
    ) -> None:
        self.key = key(pod_autoscaler)
        self.policy = policy
        self.learning = policy if isinstance(policy, Learning) else None
        self._read(pod_autoscaler, configs)
        self.active = standing.active  # the Active condition that was written last
        self.since = now - standing.seconds  # when the condition got this status
        self.scale = standing.scale  # the one written last
        # The load of running instances is not known yet: their number must not fall for that reason.
        self.state: Any = policy.initial(max(standing.scale, 0), now)
        self.desired = 0 if standing.scale == 0 else UNKNOWN
        self.decision: Decision | None = None
        self.decided_at = now
        self.ready: int | None = None  # None: must be counted again
        self.meter: Meter | None = None
        self.rested = False  # whether there was certainly no load until now

    def follow(self, pod_autoscaler: Object, configs: Configs) -> bool:
        """Take over the current settings; returns whether they changed."""
        if self.configs is configs and self._given == (annotations(pod_autoscaler), spec(pod_autoscaler)):
            return False
        before = self.spec
        self._read(pod_autoscaler, configs)
        if self.meter is not None and (before.metric, before.algorithm) == (self.spec.metric, self.spec.algorithm):
            self.meter.resize(self.spec)
        else:
            self.meter = None
        return True

    def _read(self, pod_autoscaler: Object, configs: Configs) -> None:
        self._given = annotations(pod_autoscaler), spec(pod_autoscaler)
        self.configs = configs
        self.spec: Spec = self.policy.spec_of(pod_autoscaler, configs)
        self.bounds = bounds_of(pod_autoscaler, configs)

    def measure(self, now: float) -> Meter:
        """Its meter. After a rest its windows are full of zeros; at zero they begin with the request that ends the
        rest, and after a restart with the first report."""
        if self.meter is None:
            self.meter = Meter(self.spec, now, idle_before=self.rested)
            self.rested = False
        return self.meter

    def decide(self, now: float, reported: float, *, only_more: bool = False) -> bool:
        """Ask the policy; returns whether its number or its problem changed.

        `reported`: when any gate sent a report last. `only_more`, between two ticks: drop a number that is not larger.
        """
        meter = self.measure(now)
        averages = meter.averages(now, reported)
        if only_more and (not self.ready or meter.is_young(now)):
            averages = meter.with_current_level(averages)
        observed = Observed(averages.stable, averages.panic, self.ready or 0, max(self.scale, 0))
        decision, state = self.policy.decide(self.key, self.spec, observed, self.state, now)
        self.decided_at = now
        if only_more and decision.desired <= self.desired:
            return False
        problem = None if self.decision is None else self.decision.problem
        changed = (decision.desired, decision.problem) != (self.desired, problem)
        self.decision, self.state, self.desired = decision, state, decision.desired
        return changed

    def is_waking(self, now: float) -> bool:
        """Whether more instances may be needed although no request waits: the burst that woke the revision lasts, and
        the first instances have taken all its requests so far."""
        return self.meter is not None and self.meter.is_young(now)

    @property
    def is_settled(self) -> bool:
        """Whether further ticks would change nothing: no load now or in the windows, and at most min-scale wanted."""
        return (
            self.decision is not None
            and self.desired <= self.bounds.least
            and self.decision.is_steady
            and (self.meter is None or self.meter.level == 0)
        )

    def rest(self) -> None:
        """Drop the windows: there is no load."""
        self.meter = None
        self.rested = True
