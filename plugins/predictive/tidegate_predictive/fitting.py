# SPDX-License-Identifier: Apache-2.0
"""From a history to a `Model`, by scikit-learn: boosted trees over the time of day and the weekday.

In: a `Series`. Out: for each bin of the week the expected load, and the deviation of similar bins from it. `fit` works
in this process; `fit_apart` in a separate one (`python -m tidegate_predictive.fitting`), so that the library's memory
and crashes do not affect Tidegate.

Trees keep edges: a load that begins at nine begins at nine, where a sum of waves would begin at eight. The weight of a
day halves every two weeks. Weekdays are distinguished from two weeks of history on.
"""

import json
import os
import subprocess
import sys
from array import array
from collections.abc import Sequence
from typing import Any

from tidegate_predictive.history import Series
from tidegate_predictive.model import BIN, DAY, QUANTILES, WEEK, Curve, LoadLevel, Model

LEAST = 2 * DAY  # bins of history
_WEEKLY = 2 * WEEK
_HALF_LIFE = 14.0  # days
_SIMILAR = 6  # bins before and after, at which other days count as similar
_TIMEOUT = 300.0
_NICE = 10


class FitError(Exception):
    """The fit failed; the message is one line."""


def fit(series: Series) -> Model:
    """The model of a history of at least `LEAST` bins."""
    import numpy as np
    from sklearn.ensemble import HistGradientBoostingRegressor
    from threadpoolctl import threadpool_limits

    requests, concurrency = np.asarray(series.requests, float), np.asarray(series.concurrency, float)
    times = series.begin + np.arange(len(requests))
    watched = ~np.isnan(requests)
    times, requests, concurrency = times[watched], requests[watched], concurrency[watched]
    weekly = len(series) >= _WEEKLY
    trees = HistGradientBoostingRegressor(
        loss="poisson",
        max_iter=100,
        max_leaf_nodes=63,
        min_samples_leaf=8,
        categorical_features=[1],  # pyright: ignore[reportArgumentType]
        random_state=0,
    )
    with threadpool_limits(1):  # more threads would take the CPU from the apps
        come, busy = _expected(trees, times, requests, weekly), _expected(trees, times, concurrency, weekly)
    levels = _levels(requests, come[times % WEEK])
    return Model(
        concurrency=_curve(times, concurrency, busy, levels),
        requests=_curve(times, requests, come, levels),
        days=round(len(series) / DAY, 1),
        weekly=weekly,
    )


def _expected(trees: Any, times: Any, values: Any, weekly: bool) -> Any:
    """The expected value for each bin of the week."""
    import numpy as np

    if not values.sum():
        return np.zeros(WEEK)
    ages = (times[-1] - times) / DAY
    trees.fit(_features(times, weekly), values, sample_weight=0.5 ** (ages / _HALF_LIFE))
    return np.maximum(trees.predict(_features(np.arange(WEEK), weekly)), 0.0)


def _features(times: Any, weekly: bool) -> Any:
    import numpy as np

    return np.column_stack([times % DAY, times // DAY % 7 * weekly])


def _levels(came: Any, expected: Any) -> Any:
    """The level at the begin of each bin."""
    import numpy as np

    level, levels = LoadLevel(), []
    for one, other in zip(came * BIN, expected * BIN, strict=True):
        levels.append(level.value)
        level.add(float(one), float(other))
    return np.array(levels)


def _curve(times: Any, values: Any, expected: Any, levels: Any) -> Curve:
    import numpy as np

    deviation = np.sqrt(values) - np.sqrt(expected[times % WEEK] * levels)
    slots = [deviation[times % DAY == slot] for slot in range(DAY)]
    similar = [
        np.concatenate([slots[(slot + near) % DAY] for near in range(-_SIMILAR, _SIMILAR + 1)]) for slot in range(DAY)
    ]
    quantiles = np.array(
        [np.quantile(found, QUANTILES) if len(found) else np.zeros(len(QUANTILES)) for found in similar]
    )
    return Curve(array("f", expected), tuple(array("f", row) for row in quantiles.T))


def fit_apart(series: Series) -> Model:
    """The same in another process, with low priority and one thread; blocks. Raises `FitError`."""
    question = {"begin": series.begin, "concurrency": list(series.concurrency), "requests": list(series.requests)}
    command = [sys.executable, "-m", "tidegate_predictive.fitting"]
    try:
        done = subprocess.run(  # noqa: S603 - this module
            command, input=json.dumps(question), capture_output=True, text=True, timeout=_TIMEOUT, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise FitError(str(error)) from error
    if done.returncode:
        words = done.stderr.strip().splitlines() or [f"the process ended with {done.returncode}"]
        raise FitError(words[-1])
    return _read(done.stdout)


def _read(text: str) -> Model:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise FitError("the answer of the process is not JSON") from error
    curves = {name: Curve(array("f", curve[0]), _arrays(curve[1])) for name, curve in found["curves"].items()}
    return Model(**curves, days=found["days"], weekly=found["weekly"])


def _arrays(rows: Sequence[Sequence[float]]) -> tuple[Sequence[float], ...]:
    return tuple(array("f", row) for row in rows)


def main() -> None:
    """The separate process: a series as JSON on stdin, its model as JSON on stdout."""
    os.nice(_NICE)
    question = json.load(sys.stdin)
    series = Series()
    series.begin = question["begin"]
    series.concurrency, series.requests = array("f", question["concurrency"]), array("f", question["requests"])
    model = fit(series)
    curves = {
        name: (list(curve.expected), [list(row) for row in curve.deviation])
        for name, curve in (("concurrency", model.concurrency), ("requests", model.requests))
    }
    json.dump({"curves": curves, "days": model.days, "weekly": model.weekly}, sys.stdout)


if __name__ == "__main__":
    main()
