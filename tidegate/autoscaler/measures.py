# SPDX-License-Identifier: Apache-2.0
"""The average usage of an instance, in the unit of its target. Pure.

In: the known usage or metrics of a revision's running instances. Out: a `Measure`. Called by: `hpa.py`, with every
decision.

| metric  | an instance                            | unit                                            |
| --- | --- | --- |
| cpu     | total used / total requested           | percent                                         |
| memory  | resident memory                        | MiB                                             |
| other   | the metric that it exposes (`scraper.py`) | the metric's own; a counter's is per second    |
"""

from collections.abc import Sequence
from typing import NamedTuple

from tidegate.autoscaler.scraper import Scraped
from tidegate.model.usage import Usage

_MIB = 2**20


class Measure(NamedTuple):
    """`usage` is None while it is unknown; `failure` then has the reason, unless this is only for a moment."""

    usage: float | None
    instances: int  # number of measured instances
    unit: str = ""
    failure: str = ""


def cpu(instances: Sequence[Usage]) -> Measure:
    asked = sum(instance.cpu_request for instance in instances)
    if not asked:
        return Measure(None, 0, failure="missing request for cpu" if instances else "")
    return Measure(100 * sum(instance.cpu for instance in instances) / asked, len(instances), "%")


def memory(instances: Sequence[Usage]) -> Measure:
    if not instances:
        return Measure(None, 0)
    return Measure(sum(instance.memory for instance in instances) / len(instances) / _MIB, len(instances), " MiB")


def custom(scraped: Scraped) -> Measure:
    if not scraped.values:
        return Measure(None, 0, failure=scraped.failure)
    mean = sum(scraped.values) / len(scraped.values)
    return Measure(mean, len(scraped.values), "/s" if scraped.is_rate else "")
