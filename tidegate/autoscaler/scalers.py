# SPDX-License-Identifier: Apache-2.0
"""The scalers of all revisions that are not at rest at zero.

In: PodAutoscalers, Pods and ConfigMaps. Out: one `Scaler` a revision, and which of them need a decision in each tick.
Called by: `controller.py`.
"""

from collections.abc import Mapping

from tidegate.autoscaler import bounds, status
from tidegate.autoscaler.policies import AnyPolicy
from tidegate.autoscaler.scaler import Scaler
from tidegate.client.context import Context
from tidegate.client.informers import ready_pods
from tidegate.model.conditions import is_true
from tidegate.model.objects import Key, Object, is_deleting, key


class Scalers:
    """Scalers by revision; `ticking` has the scalers that need a decision in each tick."""

    def __init__(self, context: Context, policies: Mapping[str, AnyPolicy]) -> None:
        self._clock = context.clock
        self._configs = context.configs
        self._pods = context.informers.pods
        self._pod_autoscalers = context.informers.pod_autoscalers
        self._policies = policies
        self._scalers: dict[Key, Scaler] = {}
        self.ticking: dict[Key, Scaler] = {}

    def __len__(self) -> int:
        return len(self._scalers)

    def get(self, revision: Key) -> Scaler | None:
        """The scaler of a revision, if it has one now."""
        return self._scalers.get(revision)

    def current(self, revision: Key) -> Scaler | None:
        """The scaler of a revision with its current settings, made if it has none; None if its PodAutoscaler is
        missing or being deleted, or has a class of another controller."""
        pod_autoscaler = self._pod_autoscalers.get(revision)
        return None if pod_autoscaler is None else self.of(pod_autoscaler)

    def of(self, pod_autoscaler: Object) -> Scaler | None:
        """The same for a PodAutoscaler."""
        name, configs = key(pod_autoscaler), self._configs.current
        policy = self._policies.get(bounds.class_of(pod_autoscaler, configs))
        if policy is None or is_deleting(pod_autoscaler):
            return None
        scaler = self._scalers.get(name)
        if scaler is None or scaler.policy is not policy:
            scaler = self._scalers[name] = self._new(policy, pod_autoscaler)
            self.ticking.pop(name, None)
        elif not scaler.follow(pod_autoscaler, configs):
            return scaler
        if scaler.scale != 0:
            self.ticking[name] = scaler
        return scaler

    def _new(self, policy: AnyPolicy, pod_autoscaler: Object) -> Scaler:
        # An active revision counts as active from now on: it is not known how long it has been without load.
        active = is_true(pod_autoscaler, status.ACTIVE)
        seconds = 0.0 if active else status.seconds_standing(pod_autoscaler, self._clock.wall())
        standing = status.standing(pod_autoscaler, seconds)
        return Scaler(policy, pod_autoscaler, self._configs.current, standing, self._clock.monotonic())

    def forget(self, revision: Key) -> None:
        """Drop the scaler of a revision: it was deleted, or is at rest at zero."""
        self._scalers.pop(revision, None)
        self.ticking.pop(revision, None)

    def count_ready(self, scaler: Scaler) -> int:
        """The ready instances of its revision, counted again if a Pod's readiness changed."""
        if scaler.ready is None:
            scaler.ready = len(ready_pods(self._pods, scaler.key))
        return scaler.ready
