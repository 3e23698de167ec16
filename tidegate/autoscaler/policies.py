# SPDX-License-Identifier: Apache-2.0
"""Autoscaling classes: who turns a revision's load into a number of instances.

In: the annotation `autoscaling.knative.dev/class` of a PodAutoscaler. Out: the `Policy` of that name, or none: then the
object belongs to a controller elsewhere and is left alone. A package brings a class of its own by an entry point in the
group `tidegate.autoscalers`: its name is the class, what it loads is called without arguments and gives a `Policy`.
"""

from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import entry_points
from typing import Any, Protocol, TypeVar

from tidegate.autoscaler import bounds, decide
from tidegate.autoscaler.annotations import Annotations
from tidegate.autoscaler.decide import Decision, Observed, Spec, State
from tidegate.autoscaler.hpa import Hpa
from tidegate.autoscaler.scraper import Scraped
from tidegate.model import names
from tidegate.model.config import Configs
from tidegate.model.objects import Key, Object
from tidegate.model.usage import Usage

ENTRY_POINTS = "tidegate.autoscalers"

P = TypeVar("P", bound=Spec)
S = TypeVar("S")


class Outcome(Protocol):
    """A decision, whichever class took it."""

    @property
    def desired(self) -> int:
        """How many instances."""

    @property
    def is_steady(self) -> bool:
        """Whether it would be the same ever after if no request came."""

    @property
    def reason(self) -> str:
        """Why, in one sentence."""

    @property
    def problem(self) -> tuple[str, str] | None:
        """What keeps it from following its measure, if anything: reason and message of the condition ScalingActive."""

    def numbers(self) -> Mapping[str, Any]:
        """What led to it, for the status."""


class Policy(Protocol[P, S]):
    """One class. Bounds, initial scale and scale to zero are kept around it, whatever it says.

    P is what it follows for one revision, S what a decision leaves for the next one.
    """

    def spec_of(self, pod_autoscaler: Object, configs: Configs) -> P:
        """What to follow for this revision; called when its annotations or the configuration changed."""

    def initial(self, ready: int, now: float) -> S:
        """What to begin with when so many instances are there already."""

    def decide(self, revision: Key, spec: P, observed: Observed, state: S, now: float) -> tuple[Outcome, S]:
        """How many instances the load wants now; nothing is changed by asking."""


AnyPolicy = Policy[Any, Any]


class Kpa:
    """Knative's pod autoscaler: by requests at a time, or by requests a second."""

    def spec_of(self, pod_autoscaler: Object, configs: Configs) -> Spec:
        return bounds.spec_of(pod_autoscaler, configs)

    def initial(self, ready: int, now: float) -> State:
        return decide.initial(ready, now)

    def decide(self, revision: Key, spec: Spec, observed: Observed, state: State, now: float) -> tuple[Decision, State]:
        decision = decide.decide(spec, observed, state, now)
        return decision, decision.state


def class_of(pod_autoscaler: Object, configs: Configs) -> str:
    """The class that shall scale it."""
    return Annotations(pod_autoscaler).text("class") or configs.autoscaler.pod_autoscaler_class


def installed(
    usage: Callable[[Key], Sequence[Usage]] = lambda revision: (),
    scraped: Callable[[Key, str], Scraped] = lambda revision, metric: Scraped(),
) -> Mapping[str, AnyPolicy]:
    """Our classes and those that installed packages bring; ours cannot be replaced. `usage` tells what the running
    instances of a revision use, `scraped` a metric that they tell themselves."""
    brought = {entry.name: entry.load()() for entry in entry_points(group=ENTRY_POINTS)}
    return {**brought, names.KPA: Kpa(), names.HPA: Hpa(usage, scraped)}
