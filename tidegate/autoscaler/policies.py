# SPDX-License-Identifier: Apache-2.0
"""Autoscaling classes: who turns a revision's load into a number of instances.

In: the annotation `autoscaling.knative.dev/class` of a PodAutoscaler. Out: the `Policy` of that name, or none: then the
object belongs to a controller elsewhere and is left alone. A package brings a class of its own by an entry point in the
group `tidegate.autoscalers`: its name is the class, what it loads is called with a `Host` and gives a `Policy`.

Beyond that a policy may be `Learning`, `Checking` or both: it is asked what else it is, by the methods that it has.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

from tidegate.autoscaler import bounds, decide
from tidegate.autoscaler.decide import Decision, Observed, Spec, State
from tidegate.autoscaler.hpa import Hpa
from tidegate.autoscaler.scraper import Scraped
from tidegate.kit import background
from tidegate.kit.clock import Clock, VirtualClock
from tidegate.model import kinds, names, problems
from tidegate.model.config import Configs
from tidegate.model.kinds import Kind
from tidegate.model.load import LoadReport
from tidegate.model.objects import Key, Object, annotations, spec
from tidegate.model.problems import Problem
from tidegate.model.usage import Usage

ENTRY_POINTS = "tidegate.autoscalers"

P = TypeVar("P", bound=Spec)
S = TypeVar("S")
T = TypeVar("T")


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


@runtime_checkable
class Learning(Protocol):
    """A policy that also learns from what was, and may want instances where no request asks for a decision.

    All of it is called on the event loop, where a tick waits for it: what takes longer is for `Host.work`.
    """

    def learn(self, revision: Key, report: LoadReport) -> None:
        """What a gate says of a revision of this class, ten times a second while it has requests; cumulative."""

    def due(self, now: float) -> Collection[Key]:
        """Called once a tick, for the class as a whole: the revisions that are to be decided on with this tick, also if
        they rest."""

    def forget(self, revision: Key) -> None:
        """It has gone, or is of another class now."""


@runtime_checkable
class Checking(Protocol):
    """A policy with annotations of its own."""

    def problems(self, annotations: Mapping[str, str]) -> Iterable[Problem]:
        """What is wrong with those of a revision of this class; one with a problem is refused."""


class Work(Protocol):
    """Runs what takes longer than a tick may."""

    def __call__(self, function: Callable[[], T], /) -> Future[T]: ...


@dataclass(frozen=True, slots=True)
class Host:
    """What a class that is brought is given. As it is, it is for a simulation: time is an argument, nothing is kept."""

    clock: Clock = field(default_factory=lambda: VirtualClock(0.0))  # stands still
    work: Work = background.at_once
    folder: Path | None = None  # of its own, for what is to outlive a restart; it makes it. None: nothing is

    def of(self, scaler: str) -> "Host":
        """That of one class, with its own part of the folder."""
        return Host(self.clock, self.work, None if self.folder is None else self.folder / scaler)


class Kpa:
    """Knative's pod autoscaler: by requests at a time, or by requests a second."""

    def spec_of(self, pod_autoscaler: Object, configs: Configs) -> Spec:
        return bounds.spec_of(pod_autoscaler, configs)

    def initial(self, ready: int, now: float) -> State:
        return decide.initial(ready, now)

    def decide(self, revision: Key, spec: Spec, observed: Observed, state: State, now: float) -> tuple[Decision, State]:
        decision = decide.decide(spec, observed, state, now)
        return decision, decision.state


def installed(
    usage: Callable[[Key], Sequence[Usage]] = lambda revision: (),
    scraped: Callable[[Key, str], Scraped] = lambda revision, metric: Scraped(),
    host: Host = Host(),
) -> Mapping[str, AnyPolicy]:
    """Our classes and those that installed packages bring; ours cannot be replaced. `usage` tells what the running
    instances of a revision use, `scraped` a metric that they tell themselves."""
    brought = {entry.name: entry.load()(host.of(entry.name)) for entry in entry_points(group=ENTRY_POINTS)}
    return {**brought, names.KPA: Kpa(), names.HPA: Hpa(usage, scraped)}


def check(kind: Kind, obj: Object, policies: Mapping[str, AnyPolicy], configs: Configs) -> None:
    """Raise `BadRequest` where the object's revision has annotations that its class does not take."""
    path = _TEMPLATES.get(kind)
    if path is None:
        return
    revision = spec(obj).get("template") or {} if path else obj
    policy = policies.get(bounds.class_of({"metadata": {}, **revision}, configs))
    if isinstance(policy, Checking):
        found = list(policy.problems(annotations({"metadata": {}, **revision})))
        if found:
            raise problems.refusal(list(problems.under(f"{path}metadata.annotations", found)))


_TEMPLATES: Mapping[Kind, str] = {
    kinds.SERVICE: "spec.template.",
    kinds.CONFIGURATION: "spec.template.",
    kinds.REVISION: "",
    kinds.POD_AUTOSCALER: "",
}
"""Where the metadata is that a revision gets, or has."""
