# SPDX-License-Identifier: Apache-2.0
"""The rules of the annotations that say how a revision is scaled.

In: a template's (or Revision's, or PodAutoscaler's) annotations and config-autoscaler. Out: problems, each at the
annotation's key. Rules and texts: knative/serving pkg/apis/autoscaling annotation_validation.go. The
meaning of the values is in `autoscaler.annotations`.
"""

from collections.abc import Callable, Iterator, Mapping

from tidegate.model.config import AutoscalerConfig
from tidegate.model.field_errors import FieldError, invalid, invalid_key, out_of_bounds
from tidegate.model.names import AUTOSCALING, AUTOSCALING_CLASS, HPA, KPA
from tidegate.model.text import durations, literals

_Annotations = Mapping[str, str]

_LARGEST = 2**31 - 1
_HOUR = durations.HOUR
_ALGORITHMS = ("", "linear", "weighted-exponential", "weightedExponential")
_METRICS = {KPA: ("concurrency", "rps")}
_MISPLACED = 'autoscaling annotations must be put under "spec.template.metadata.annotations" to work'


def problems(annotations: _Annotations, config: AutoscalerConfig) -> Iterator[FieldError]:
    """The errors in the annotations of a revision."""
    yield from _class(annotations)
    yield from _scales(annotations, config)
    yield from _numbers(annotations)
    yield from _window(annotations)
    yield from _delays(annotations)
    yield from _metric(annotations, config)
    yield from _initial_scale(annotations, config)


def misplaced(annotations: _Annotations) -> Iterator[FieldError]:
    """Errors for scaling annotations on an object whose template should have them."""
    for key in annotations:
        if key.startswith(AUTOSCALING):
            yield invalid_key(key, "", _MISPLACED)


def _get(annotations: _Annotations, name: str) -> tuple[str, str] | None:
    """Key and value of an annotation: by its name, or by its older camelCase name."""
    head, *rest = name.split("-")
    for written in (name, head + "".join(word.title() for word in rest)):
        key = f"{AUTOSCALING}/{written}"
        if key in annotations:
            return key, annotations[key]
    return None


def _class(annotations: _Annotations) -> Iterator[FieldError]:
    value = annotations.get(AUTOSCALING_CLASS, "")
    if value.endswith(".knative.dev") and value not in (KPA, HPA):
        yield invalid(value, AUTOSCALING_CLASS)
    algorithm = _get(annotations, "metric-aggregation-algorithm")
    if value == KPA and algorithm and algorithm[1] not in _ALGORITHMS:
        yield invalid(algorithm[1], algorithm[0])


def _scales(annotations: _Annotations, config: AutoscalerConfig) -> Iterator[FieldError]:
    least, wrong = _scale(annotations, "min-scale")
    yield from wrong
    most, wrong = _scale(annotations, "max-scale")
    yield from wrong
    if most and most < least:
        message = f"max-scale={most} is less than min-scale={least}"
        yield FieldError(message, (f"{AUTOSCALING}/max-scale", f"{AUTOSCALING}/min-scale"))
    given = _get(annotations, "max-scale")
    limit = config.max_scale_limit
    if given and limit and most > limit:
        yield out_of_bounds(most, 1, limit, given[0])
    if given and limit and not most:
        yield FieldError(f"max-scale=0 (unlimited), must be less than {limit}", (given[0],))
    yield from _activation_scale(annotations, least, most)


def _scale(annotations: _Annotations, name: str) -> tuple[int, list[FieldError]]:
    given = _get(annotations, name)
    if given is None:
        return 0, []
    key, text = given
    try:
        value = literals.whole(text, 32)
    except literals.OutOfRange:
        return 0, [out_of_bounds(text, 0, _LARGEST, key)]
    except ValueError:
        return 0, [invalid(text, key)]
    return (value, []) if value >= 0 else (0, [out_of_bounds(text, 0, _LARGEST, key)])


def _activation_scale(annotations: _Annotations, least: int, most: int) -> Iterator[FieldError]:
    key = f"{AUTOSCALING}/activation-scale"
    if key not in annotations:
        return
    try:
        value = literals.whole(annotations[key], 32)
    except ValueError:
        yield invalid(annotations[key], key)
        return
    if least > value:
        yield FieldError(f"min-scale={least} is greater than activation-scale={value}", (key,))
    elif 0 < most < value:
        yield FieldError(f"max-scale={most} is less than activation-scale={value}", (key,))
    elif value < 2:
        yield FieldError(f"activation-scale={value} must be greater than 1", (key,))


def _within(lower: int, upper: int) -> Callable[[str, str, float], FieldError | None]:
    return lambda key, text, value: None if lower <= value <= upper else out_of_bounds(text, lower, upper, key)


def _target(key: str, text: str, value: float) -> FieldError | None:
    return None if value >= 0.01 else FieldError(f"target {text} should be at least 0.01", (key,))


def _burst_capacity(key: str, text: str, value: float) -> FieldError | None:
    return None if value >= 0 or value == -1 else invalid(text, key)


_NUMBERS: Mapping[str, Callable[[str, str, float], FieldError | None]] = {
    "panic-window-percentage": _within(1, 100),
    "panic-threshold-percentage": _within(110, 1000),
    "target": _target,
    "target-utilization-percentage": _within(1, 100),
    "target-burst-capacity": _burst_capacity,
}


def _numbers(annotations: _Annotations) -> Iterator[FieldError]:
    for name, rule in _NUMBERS.items():
        if given := _get(annotations, name):
            key, text = given
            try:
                problem = rule(key, text, literals.number(text))
            except ValueError:
                problem = invalid(text, key)
            if problem:
                yield problem


def _window(annotations: _Annotations) -> Iterator[FieldError]:
    key = f"{AUTOSCALING}/window"
    if key in annotations:
        yield from _duration(key, annotations[key], 6 * durations.SECOND, whole_seconds=True)


def _delays(annotations: _Annotations) -> Iterator[FieldError]:
    if given := _get(annotations, "scale-to-zero-pod-retention-period"):
        yield from _duration(*given, 0, whole_seconds=False)
    if given := _get(annotations, "scale-down-delay"):
        yield from _duration(*given, 0, whole_seconds=True)


def _duration(key: str, text: str, least: int, *, whole_seconds: bool) -> Iterator[FieldError]:
    try:
        value = durations.parse(text)
    except ValueError:
        yield invalid(text, key)
        return
    if not least <= value <= _HOUR:
        yield out_of_bounds(text, durations.render(least), durations.render(_HOUR), key)
    elif whole_seconds and value % durations.SECOND:
        yield FieldError("must be specified with at most second precision", (key,))


def _metric(annotations: _Annotations, config: AutoscalerConfig) -> Iterator[FieldError]:
    key = f"{AUTOSCALING}/metric"
    metric = annotations.get(key)
    if metric is None:
        return
    scaler = annotations.get(AUTOSCALING_CLASS, config.pod_autoscaler_class)
    if metric not in _METRICS.get(scaler, (metric,)) or (scaler == HPA and not metric):
        yield invalid(metric, key)


def _initial_scale(annotations: _Annotations, config: AutoscalerConfig) -> Iterator[FieldError]:
    given = _get(annotations, "initial-scale")
    if given is None:
        return
    key, text = given
    try:
        value = literals.whole(text)
    except ValueError:
        yield invalid(text, key)
        return
    if value < 0:
        yield invalid(text, f"{key} must be greater than 0")
    elif value == 0 and not config.allow_zero_initial_scale:
        yield invalid(text, f"{key}=0 not allowed by cluster")
