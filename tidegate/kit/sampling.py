# SPDX-License-Identifier: Apache-2.0
"""The common part of samplers: sample only while someone asks, and turn totals into rates.

In: questions by key, totals at moments. Out: the keys that are in demand, rates per second. Called by: the scraper of
metrics (`autoscaler/scraper.py`) and the sampler of CPU and memory (`node/usage.py`).
"""

from collections.abc import Hashable
from typing import Generic, NamedTuple, TypeVar

from tidegate.kit.clock import Clock

EVERY = 3.0  # seconds between samples; at 100 ticks a second, CPU is then known to a third of a percent of a core
LAPSE = 20.0  # seconds without a question until sampling stops; the autoscaler asks every 2 s

K = TypeVar("K", bound=Hashable)


class Demand(Generic[K]):
    """The keys that somebody asked for within the last `LAPSE` seconds."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._asked: dict[K, float] = {}

    def ask(self, key: K) -> None:
        """Note a question about `key`."""
        self._asked[key] = self._clock.monotonic()

    def current(self) -> list[K]:
        """The keys in demand; others are dropped."""
        oldest = self._clock.monotonic() - LAPSE
        self._asked = {key: asked for key, asked in self._asked.items() if asked > oldest}
        return list(self._asked)

    def holds(self, key: K) -> bool:
        """Whether `key` is in demand; if not, it is dropped."""
        if self._asked.get(key, -LAPSE) > self._clock.monotonic() - LAPSE:
            return True
        self._asked.pop(key, None)
        return False


class Total(NamedTuple):
    """A counter at a moment."""

    time: float  # seconds, monotonic
    value: float

    def rate_since(self, earlier: "Total | None") -> float | None:
        """Per second; None without an earlier total, or if the counter was reset in between."""
        if earlier is None or self.value < earlier.value:
            return None
        return (self.value - earlier.value) / (self.time - earlier.time)
