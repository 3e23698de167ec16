# SPDX-License-Identifier: Apache-2.0
"""Autoscaling classes: who turns a revision's load into a number of instances.

In: the annotation `autoscaling.knative.dev/class` of a PodAutoscaler. Out: the `Policy` of that name, or none: then the
object belongs to a controller elsewhere and is left alone. A package brings a class of its own by an entry point in the
group `tidegate.autoscalers`: its name is the class, what it loads is called without arguments and gives a `Policy`.
"""

from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Protocol

from tidegate.autoscaler import bounds, decide
from tidegate.autoscaler.annotations import Annotations
from tidegate.autoscaler.decide import Decision, Observed, Spec, State
from tidegate.model import names
from tidegate.model.config import Configs
from tidegate.model.objects import Key, Object

ENTRY_POINTS = "tidegate.autoscalers"


class Policy(Protocol):
    """One class. Bounds, initial scale and scale to zero are kept around it, whatever it says."""

    def spec_of(self, pod_autoscaler: Object, configs: Configs) -> Spec:
        """What to follow for this revision; called when its annotations or the configuration changed."""

    def initial(self, ready: int, now: float) -> State:
        """What to begin with when `ready` instances are there already."""

    def decide(self, revision: Key, spec: Spec, observed: Observed, state: State, now: float) -> Decision:
        """How many instances the load wants now."""


class Kpa:
    """Knative's pod autoscaler: by requests at a time, or by requests a second."""

    def spec_of(self, pod_autoscaler: Object, configs: Configs) -> Spec:
        return bounds.spec_of(pod_autoscaler, configs)

    def initial(self, ready: int, now: float) -> State:
        return decide.initial(ready, now)

    def decide(self, revision: Key, spec: Spec, observed: Observed, state: State, now: float) -> Decision:
        return decide.decide(spec, observed, state, now)


def class_of(pod_autoscaler: Object, configs: Configs) -> str:
    """The class that shall scale it."""
    return Annotations(pod_autoscaler).text("class") or configs.autoscaler.pod_autoscaler_class


def installed() -> Mapping[str, Policy]:
    """Our classes and those that installed packages bring; ours cannot be replaced."""
    brought = {entry.name: entry.load()() for entry in entry_points(group=ENTRY_POINTS)}
    return {**brought, names.KPA: Kpa()}
