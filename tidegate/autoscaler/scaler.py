# SPDX-License-Identifier: Apache-2.0
"""What the autoscaler knows of one revision that is not at rest at zero.

In: its PodAutoscaler and the configuration (`follow`), the gates' reports (through `measure`), the time. Out:
decisions, and the settings that its scale is held by. Who: `loop.py`, which owns one a revision.
"""

from typing import Any

from tidegate.autoscaler.bounds import bounds_of
from tidegate.autoscaler.collector import Meter
from tidegate.autoscaler.decide import Observed, Spec
from tidegate.autoscaler.policies import AnyPolicy, Learning, Outcome
from tidegate.autoscaler.scale import UNKNOWN, Standing
from tidegate.model.config import Configs
from tidegate.model.objects import Key, Object, annotations, spec


class Scaler:
    """One revision's settings, load and last decision."""

    __slots__ = (
        "_asked",
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
        self,
        key: Key,
        policy: AnyPolicy,
        pod_autoscaler: Object,
        configs: Configs,
        standing: Standing,
        now: float,
        learning: Learning | None = None,
    ) -> None:
        """`learning`: the policy once more, if it learns."""
        self.key = key
        self.policy = policy
        self.learning = learning
        self._settings(pod_autoscaler, configs)
        self.active = standing.active  # the Active condition, as written last
        self.since = now - standing.seconds  # when it became that
        self.scale = standing.scale  # as written last
        # With instances there, nothing is known of the load they serve: they are not to become fewer for that reason.
        self.state: Any = policy.initial(max(standing.scale, 0), now)
        self.desired = 0 if standing.scale == 0 else UNKNOWN
        self.decision: Outcome | None = None
        self.decided_at = now
        self.ready: int | None = None  # None: to be counted again
        self.meter: Meter | None = None
        self.rested = False  # whether it is known that there was no load until now

    def follow(self, pod_autoscaler: Object, configs: Configs) -> bool:
        """Take over what the user and the configuration say now; whether that is something else than before."""
        if self.configs is configs and self._asked == (annotations(pod_autoscaler), spec(pod_autoscaler)):
            return False
        before = self.spec
        self._settings(pod_autoscaler, configs)
        if self.meter is not None and (before.metric, before.algorithm) == (self.spec.metric, self.spec.algorithm):
            self.meter.resize(self.spec)
        else:
            self.meter = None
        return True

    def _settings(self, pod_autoscaler: Object, configs: Configs) -> None:
        self._asked = annotations(pod_autoscaler), spec(pod_autoscaler)
        self.configs = configs
        self.spec: Spec = self.policy.spec_of(pod_autoscaler, configs)
        self.bounds = bounds_of(pod_autoscaler, configs)

    def measure(self, now: float) -> Meter:
        """Its meter. After a rest its windows are full of nothing; at zero they begin with the request that ends it,
        and after a restart with what is heard first."""
        if self.meter is None:
            self.meter = Meter(self.spec, now, idle_before=self.rested)
            self.rested = False
        return self.meter

    def decide(self, now: float, heard: float, *, only_more: bool = False) -> bool:
        """Take its policy's number; whether that, or what keeps it from a better one, is another than before. `heard`
        is when any gate spoke last; with `only_more`, between two ticks, one that is not larger is forgotten."""
        meter = self.measure(now)
        averages = meter.averages(now, heard)
        if only_more and (not self.ready or meter.is_young(now)):
            averages = meter.for_those_that_are_here(averages)
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
        """Whether more may be wanted than the last decision saw, though nothing waits: the burst that woke it goes on,
        and the first instances have taken up what there is."""
        return self.meter is not None and self.meter.is_young(now)

    @property
    def is_settled(self) -> bool:
        """Whether ticks would change nothing any more: no load, none remembered, and no more wanted than min-scale."""
        return (
            self.decision is not None
            and self.desired <= self.bounds.least
            and self.decision.is_steady
            and (self.meter is None or self.meter.level == 0)
        )

    def rest(self) -> None:
        """Remember nothing of the load: there is none."""
        self.meter = None
        self.rested = True
