# SPDX-License-Identifier: Apache-2.0
"""How many slots each gateway is due by its load. Pure. Called by: `shares.py`."""

from collections.abc import Mapping
from typing import NamedTuple


def dues(loads: Mapping[str, int], slots: int) -> dict[str, float]:
    """Divide the slots by load: requests that run or wait at each gateway. The results are not rounded.

    | slots | a gateway is due |
    | --- | --- |
    | enough for all requests | one for each of its requests, and an equal part of the rest |
    | fewer | its proportion by load, but at least one if it has any request |
    | fewer than gateways with requests | an equal part, if it has any request |
    """
    total = sum(loads.values())
    if total <= slots:
        return {name: load + (slots - total) / len(loads) for name, load in loads.items()}
    busy = {name: load for name, load in loads.items() if load}
    due = dict.fromkeys(loads, 0.0)
    if slots <= len(busy):
        return due | dict.fromkeys(busy, slots / len(busy))
    while small := [name for name, load in busy.items() if load * slots < sum(busy.values())]:
        due |= dict.fromkeys(small, 1.0)
        slots -= len(small)
        for name in small:
            del busy[name]
    return due | {name: load * slots / sum(busy.values()) for name, load in busy.items()}


class Balance(NamedTuple):
    """Of the connected gateways: the slots that each has, and the slots that it is due."""

    has: dict[str, int]
    due: dict[str, float]

    def short(self, name: str) -> float:
        """How many slots the gateway lacks; negative for a surplus."""
        return round(self.due[name] - self.has[name], 6)
