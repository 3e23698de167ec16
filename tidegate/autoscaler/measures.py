# SPDX-License-Identifier: Apache-2.0
"""What an instance uses on average, in the unit that its target is given in.

In: what is known of the running instances of a revision. Out: a `Measure`. Who: `hpa.py`, with every decision. Pure.

| metric  | an instance                            | unit                                            |
| --- | --- | --- |
| cpu     | used / asked for, of all               | percent                                         |
| memory  | resident                               | MiB                                             |
| other   | what it tells itself, `scraper.py`     | its own: of a gauge as it is, of a counter in a second |
"""

from collections.abc import Sequence
from typing import NamedTuple

from tidegate.autoscaler.scraper import Scraped
from tidegate.model.usage import Usage

_MIB = 2**20


class Measure(NamedTuple):
    """`usage` is None while nothing is known; `failure` then says why, where that is not only for a moment."""

    usage: float | None
    instances: int  # that were measured
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
