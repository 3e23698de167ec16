# SPDX-License-Identifier: Apache-2.0
"""Reads one metric from the text that an app exposes to Prometheus. Pure.

In: an answer in Prometheus' text format or as OpenMetrics, the name of a metric. Out: its sum over all label sets.
Called by: `scraper.py`.

| type of the metric                                | name                            | a reading is    |
| --- | --- | --- |
| gauge, unknown                                    | its own                         | a value         |
| counter                                           | with or without `_total`        | a running total |
| unknown, by a name in `_total`                    | with `_total`                   | a running total |
| histogram, summary                                | with `_count` or `_sum`         | a running total |

Only lines that may have the metric are parsed: an app can expose hundreds, and parsing all of them several times a
second takes too long.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from prometheus_client import parser
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import parser as openmetrics

_OPENMETRICS = "application/openmetrics-text"
_SUFFIX = re.compile("_(total|count|sum|bucket)$")
_END = "# EOF"
_UNKNOWN = ("unknown", "untyped")
_IN_PARTS = ("histogram", "gaugehistogram", "summary")
_SERIES = 1000  # label sets; parsing them takes about 20 ms
_LARGEST = 2.0**53


class Reading(NamedTuple):
    """A metric of one instance at one moment."""

    value: float
    is_total: bool  # a counter since the start of the instance


class Unreadable(Exception):
    """The answer does not have the metric; the message says why."""


def read(text: str, content_type: str, metric: str) -> Reading:
    """The metric in an answer of that content type. Raises `Unreadable`."""
    families = _families(text, content_type, metric)
    for name in (metric, f"{metric}_total"):
        readings = [reading for family in families for reading in _readings(family, name)]
        if readings:
            break
    else:
        raise Unreadable(f"does not report {metric}")
    total = sum(reading.value for reading in readings)
    if not abs(total) <= _LARGEST:  # also true for NaN, which some libraries expose before the first measurement
        raise Unreadable(f"reports {metric} as {total:g}")
    return Reading(total, readings[0].is_total)


def _families(text: str, content_type: str, metric: str) -> list[Metric]:
    stem, is_openmetrics = _SUFFIX.sub("", metric), content_type.startswith(_OPENMETRICS)
    lines = [line for line in text.split("\n") if stem in line and line != _END]
    if len(lines) > _SERIES:
        raise Unreadable(f"reports {metric} in more than {_SERIES} lines")
    try:
        if is_openmetrics:
            ended = "\n".join([*lines, _END, ""])
            return list(openmetrics.text_string_to_metric_families(ended))  # type: ignore[no-untyped-call]
        return list(parser.text_string_to_metric_families("\n".join(lines)))
    except (ValueError, LookupError) as error:  # LookupError: the parser takes a quote for closed
        raise Unreadable(f"is not in Prometheus' format: {error}") from error


def _readings(family: Metric, name: str) -> Iterator[Reading]:
    for sample in family.samples:
        if sample.name == name:
            yield Reading(sample.value, _is_total(family.type, name))


def _is_total(kind: str, name: str) -> bool:
    if kind == "gauge" or (kind in _UNKNOWN and not name.endswith("_total")):
        return False
    if kind in ("counter", *_UNKNOWN) or (kind in _IN_PARTS and name.endswith(("_count", "_sum"))):
        return True
    raise Unreadable(f"reports {name} as a {kind}, which has no value to scale by")
