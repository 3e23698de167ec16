# SPDX-License-Identifier: Apache-2.0
"""The interface of an autoscaling class: what turns a revision's load into a number of instances.

A `Policy` is one class. It gets a `Spec` (what the user asked for) and `Observed` values, and returns a `Decision`.
A policy may also be `Learning`, `Checking` or both: Tidegate looks at the methods that it has.

Called by: the autoscaler for its own classes (`kpa.py`, `hpa.py`), and packages that bring a class (`classes.py`).
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

from tidegate.kit import background
from tidegate.kit.clock import Clock, VirtualClock
from tidegate.model.config import Configs
from tidegate.model.field_errors import FieldError
from tidegate.model.load import LoadReport
from tidegate.model.objects import Key, Object

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Spec:
    """How one revision scales, from its annotations, its container concurrency and config-autoscaler."""

    metric: str = "concurrency"  # or "rps"
    target: float = 70.0  # desired average of the metric per instance
    total: float = 100.0  # capacity of an instance: the target before utilisation
    stable_window: float = 60.0  # seconds
    panic_window: float = 6.0  # seconds
    panic_threshold: float = 2.0
    max_scale_up_rate: float = 1000.0
    max_scale_down_rate: float = 2.0
    scale_down_delay: float = 0.0  # seconds
    activation_scale: int = 0
    target_burst_capacity: float = 211.0
    algorithm: str = ""
    reachable: bool = True


@dataclass(frozen=True, slots=True)
class Observed:
    """The state of one revision at one moment: its metric over both windows, and its instances."""

    stable: float
    panic: float
    ready: int
    scale: int = 0  # the number of instances that the previous decision asked for


class Decision(Protocol):
    """The result of any class."""

    @property
    def desired(self) -> int:
        """The number of instances."""
        ...

    @property
    def is_steady(self) -> bool:
        """Whether it would stay the same for good if no request came."""
        ...

    @property
    def reason(self) -> str:
        """Why, in one sentence."""
        ...

    @property
    def problem(self) -> tuple[str, str] | None:
        """Reason and message of the condition ScalingActive while the class cannot follow its metric, else None."""
        ...

    def numbers(self) -> Mapping[str, Any]:
        """The numbers that led to it, for the status."""
        ...


P = TypeVar("P", bound=Spec)
S = TypeVar("S")


class Policy(Protocol[P, S]):
    """One class. Tidegate applies bounds, initial scale and scale to zero to its decisions.

    P is the type of its spec for one revision, S that of the state which one decision leaves for the next one.
    """

    def spec_of(self, pod_autoscaler: Object, configs: Configs) -> P:
        """The spec of this revision; called when its annotations or the ConfigMaps changed."""
        ...

    def initial(self, ready: int, now: float) -> S:
        """The first state of a revision that has `ready` instances already."""
        ...

    def decide(self, revision: Key, spec: P, observed: Observed, state: S, now: float) -> tuple[Decision, S]:
        """The number of instances that the load needs now. Must not change anything: the caller may drop the result."""
        ...


AnyPolicy = Policy[Any, Any]


@runtime_checkable
class Learning(Protocol):
    """A policy that also learns from past load, and may want instances when no request asks for a decision.

    All methods are called on the event loop, and a tick waits for them: `PolicyContext.work` is for longer work.
    """

    def learn(self, revision: Key, report: LoadReport) -> None:
        """Called with a gate's cumulative report on a revision of this class, ten times a second while it has
        requests."""
        ...

    def due(self, now: float) -> Collection[Key]:
        """Called once a tick for the class: the revisions that need a decision in this tick, even if they rest."""
        ...

    def forget(self, revision: Key) -> None:
        """Called when a revision that was `due` was deleted or has another class."""
        ...


@runtime_checkable
class Checking(Protocol):
    """A policy with annotations of its own."""

    def problems(self, annotations: Mapping[str, str]) -> Iterable[FieldError]:
        """Errors in the annotations of a revision of this class; the API rejects an object that has one."""
        ...


class Executor(Protocol):
    """Runs functions that take longer than a tick may."""

    def __call__(self, function: Callable[[], T], /) -> Future[T]: ...


@dataclass(frozen=True, slots=True)
class PolicyContext:
    """What Tidegate gives to a class from a package. The defaults are for a simulation, which keeps nothing."""

    clock: Clock = field(default_factory=lambda: VirtualClock(0.0))  # does not move by itself
    work: Executor = background.at_once
    folder: Path | None = None  # where the class may keep data over a restart, and which it creates; None: nowhere

    def of(self, name: str) -> "PolicyContext":
        """The context of one class, with a folder of its own."""
        return PolicyContext(self.clock, self.work, None if self.folder is None else self.folder / name)
