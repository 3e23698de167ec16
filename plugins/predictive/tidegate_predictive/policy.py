# SPDX-License-Identifier: Apache-2.0
"""The class: KPA's decision, or more instances if the forecast is higher. It implements `Policy`.

In: the same as KPA, and the gates' reports. Out: the larger of KPA's number and the number for the highest forecast
until the horizon. The horizon is the time that an instance takes to start, and a margin. KPA's limit of growth holds. A
revision that no route leads to has no forecast. Tidegate applies the bounds.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from tidegate.autoscaler import bounds
from tidegate.autoscaler.bounds import RPS
from tidegate.autoscaler.kpa import Kpa, KpaDecision, KpaState
from tidegate.autoscaler.policies import Observed, PolicyContext, Spec
from tidegate.model import names
from tidegate.model.config import Configs
from tidegate.model.field_errors import FieldError
from tidegate.model.load import LoadReport
from tidegate.model.objects import Key, Object, annotations, key, labels
from tidegate_predictive import options
from tidegate_predictive.fitting import fit_apart
from tidegate_predictive.history import Series
from tidegate_predictive.learner import Learner
from tidegate_predictive.model import Forecast, Model
from tidegate_predictive.options import PredictiveOptions

FAILED = "FailedForecast"


@dataclass(frozen=True, slots=True)
class PredictiveSpec(Spec):
    """KPA's spec, and the options of the forecast."""

    options: PredictiveOptions = field(default_factory=PredictiveOptions)


@dataclass(frozen=True, slots=True)
class PredictiveState:
    """KPA's state, and how long the last start of instances took."""

    kpa: KpaState
    wanting: float | None = None  # since when fewer instances are ready than desired
    start_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class PredictiveDecision:
    """A number of instances, and the numbers that led to it."""

    desired: int
    kpa: KpaDecision
    horizon: float  # seconds
    forecast: Forecast | None
    forecast_wants: int
    reason: str
    problem: tuple[str, str] | None

    @property
    def is_steady(self) -> bool:
        """KPA's answer: `Learner.due` wakes the revision for a forecast."""
        return self.kpa.is_steady

    def numbers(self) -> dict[str, Any]:
        numbers = {**self.kpa.numbers(), "desired": self.desired}
        if self.forecast is None:
            return numbers
        return numbers | {
            "forecast": round(self.forecast.load, 3),
            "forecastWants": self.forecast_wants,
            "horizonSeconds": round(self.horizon, 1),
            "level": round(self.forecast.level, 3),
            "historyDays": self.forecast.days,
        }


class Predictive:
    """The class: one object for all revisions."""

    def __init__(self, context: PolicyContext, fit: Callable[[Series], Model] = fit_apart) -> None:
        self.learner = Learner(context, fit)
        self._kpa = Kpa()

    def problems(self, annotations: Mapping[str, str]) -> Iterable[FieldError]:
        return options.problems(annotations)

    def spec_of(self, pod_autoscaler: Object, configs: Configs) -> PredictiveSpec:
        revision = key(pod_autoscaler)
        configuration = labels(pod_autoscaler).get(names.CONFIGURATION, revision.name)
        self.learner.know(revision, Key(revision.namespace, configuration))
        asked = options.options_of(annotations(pod_autoscaler))
        return PredictiveSpec(**asdict(bounds.spec_of(pod_autoscaler, configs)), options=asked)

    def initial(self, ready: int, now: float) -> PredictiveState:
        return PredictiveState(self._kpa.initial(ready, now))

    def decide(
        self, revision: Key, spec: PredictiveSpec, observed: Observed, state: PredictiveState, now: float
    ) -> tuple[PredictiveDecision, PredictiveState]:
        kpa, kpa_state = self._kpa.decide(revision, spec, observed, state.kpa, now)
        state = _timed(replace(state, kpa=kpa_state), observed, now)
        horizon = state.start_seconds + spec.options.margin
        found: Forecast | str = "No forecast: no route leads to it."
        if spec.reachable:
            found = self.learner.foresee(
                revision, now, horizon, per_second=spec.metric == RPS, quantile=spec.options.quantile
            )
        forecast = None if isinstance(found, str) else found
        wants = 0 if forecast is None else min(forecast.wants(spec.target), kpa.most)
        failure = self.learner.failure(revision)
        decision = PredictiveDecision(
            desired=max(kpa.desired, wants),
            kpa=kpa,
            horizon=horizon,
            forecast=forecast,
            forecast_wants=wants,
            reason=f"{kpa.reason} {found if isinstance(found, str) else _sentence(found, wants, horizon, spec)}",
            problem=(FAILED, f"The history could not be learnt from: {failure}") if failure else None,
        )
        return decision, state

    def learn(self, revision: Key, report: LoadReport) -> None:
        self.learner.learn(revision, report)

    def due(self, now: float) -> list[Key]:
        return self.learner.due(now)

    def forget(self, revision: Key) -> None:
        self.learner.forget(revision)


def _timed(state: PredictiveState, observed: Observed, now: float) -> PredictiveState:
    """Measure how long desired instances take to get ready."""
    if observed.ready >= observed.scale:
        took = state.start_seconds if state.wanting is None else now - state.wanting
        return replace(state, wanting=None, start_seconds=took)
    return replace(state, wanting=now) if state.wanting is None else state


def _sentence(forecast: Forecast, wants: int, horizon: float, spec: PredictiveSpec) -> str:
    days = "weekdays" if forecast.weekly else "days"
    return (
        f"Within {horizon:.0f} s up to {forecast.load:.3g} is foreseen at {spec.options.quantile:g} of {days} like"
        f" this, times {forecast.level:.2f} for today, which wants {wants}."
    )
