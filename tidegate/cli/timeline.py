# SPDX-License-Identifier: Apache-2.0
"""How many instances of each revision were ready over time: samples in, a line of blocks for each revision out."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from tidegate.client.informer import Informer
from tidegate.kit.clock import Clock
from tidegate.model import names, objects
from tidegate.model.conditions import is_true
from tidegate.model.objects import Object

BLOCKS = "▁▂▃▄▅▆▇█"
NONE = "·"
_SECONDS = 0.25


class Timeline:
    """The samples since it began to run."""

    def __init__(self, pods: Informer, clock: Clock) -> None:
        self._pods = pods
        self._clock = clock
        self.empty = asyncio.Event()
        """Set while there is no instance at all, not even one that ends."""
        self.samples: list[Mapping[str, int]] = []
        pods.subscribe(lambda old, new: self._look())

    def _look(self) -> None:
        if self._pods.list():
            self.empty.clear()
        else:
            self.empty.set()

    async def run(self) -> None:
        """Look four times a second, until cancelled."""
        while True:
            self.samples.append(self.now())
            await self._clock.sleep(_SECONDS)

    def now(self) -> Mapping[str, int]:
        return ready_instances(self._pods.list())

    @property
    def seconds(self) -> float:
        """How much time the samples cover."""
        return len(self.samples) * _SECONDS

    def most(self, revision: str) -> int:
        return max((sample.get(revision, 0) for sample in self.samples), default=0)

    def line(self, revision: str, width: int) -> str:
        return plot([sample.get(revision, 0) for sample in self.samples], width, self.most(revision))


def ready_instances(pods: Iterable[Object]) -> Counter[str]:
    """How many instances of each revision are ready."""
    return Counter(objects.labels(pod).get(names.REVISION, "") for pod in pods if is_true(pod))


def plot(values: Sequence[int], width: int, most: int) -> str:
    """The values as blocks, each the highest of its share of them; dots where there was nothing.

    | value        | shown  |
    | --- | --- |
    | 0            | ·      |
    | 1 ... `most` | ▁ ... █ |
    """
    columns = min(width, len(values))
    shares = [values[at * len(values) // columns : (at + 1) * len(values) // columns] for at in range(columns)]
    return "".join(_block(max(share), most) for share in shares)


def _block(value: int, most: int) -> str:
    return BLOCKS[max(0, value * len(BLOCKS) // most - 1)] if value else NONE
