# SPDX-License-Identifier: Apache-2.0
"""The annotations of the class, and their valid values.

| annotation                           | default | values        |                                                     |
| --- | --- | --- | --- |
| `predictive.tidegate.dev/quantile`   | 0.9     | 0.5 to 0.99   | the share of similar days whose load fits           |
| `predictive.tidegate.dev/margin`     | 60s     | 0s to 1h      | how much earlier than needed an instance starts     |
| `autoscaling.knative.dev/metric`     |         | concurrency, rps |                                                  |

All other annotations of `autoscaling.knative.dev/` have the meaning that they have for the class KPA.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from tidegate.model import names
from tidegate.model.field_errors import FieldError, invalid, invalid_key, out_of_bounds
from tidegate.model.text import durations, literals

NAME = "predictive.tidegate.dev"
QUANTILE = f"{NAME}/quantile"
MARGIN = f"{NAME}/margin"
_METRIC = f"{names.AUTOSCALING}/metric"
_METRICS = ("concurrency", "rps")
_LEAST, _MOST = 0.5, 0.99


class PredictiveOptions(NamedTuple):
    """The settings of a revision for its forecast."""

    quantile: float = 0.9
    margin: float = 60.0  # seconds


def options_of(annotations: Mapping[str, str]) -> PredictiveOptions:
    """The options of a revision; an invalid value, which admission rejects, counts as not set."""
    wrong = {path for problem in problems(annotations) for path in problem.paths}
    given = {name: text for name, text in annotations.items() if name not in wrong}
    return PredictiveOptions(
        quantile=literals.number(given[QUANTILE]) if QUANTILE in given else PredictiveOptions().quantile,
        margin=durations.seconds(given[MARGIN]) if MARGIN in given else PredictiveOptions().margin,
    )


def problems(annotations: Mapping[str, str]) -> Iterator[FieldError]:
    """The errors in the annotations of a revision of this class, each at its key."""
    for name in annotations:
        if name.startswith(f"{NAME}/") and name not in (QUANTILE, MARGIN):
            yield invalid_key(name, "", f"the class {NAME} knows quantile and margin")
    if (metric := annotations.get(_METRIC, "concurrency")) not in _METRICS:
        yield invalid(metric, _METRIC)
    yield from _quantile(annotations)
    yield from _margin(annotations)


def _quantile(annotations: Mapping[str, str]) -> Iterator[FieldError]:
    text = annotations.get(QUANTILE, str(PredictiveOptions().quantile))
    try:
        if not _LEAST <= literals.number(text) <= _MOST:
            yield out_of_bounds(text, _LEAST, _MOST, QUANTILE)
    except ValueError:
        yield invalid(text, QUANTILE)


def _margin(annotations: Mapping[str, str]) -> Iterator[FieldError]:
    text = annotations.get(MARGIN, "0s")
    try:
        if not 0 <= durations.parse(text) <= durations.HOUR:
            yield out_of_bounds(text, "0s", "1h", MARGIN)
    except ValueError:
        yield invalid(text, MARGIN)
