# SPDX-License-Identifier: Apache-2.0
"""The number of ready instances of each revision over time.

In: an informer of Pods. Out: a line of blocks for each revision. Called by: `tidegate demo`.
"""

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
    """The samples since `run` began."""

    def __init__(self, pods: Informer, clock: Clock) -> None:
        self._pods = pods
        self._clock = clock
        self.empty = asyncio.Event()
        """Set while no instance exists, not even a terminating one."""
        self.samples: list[Mapping[str, int]] = []
        pods.subscribe(lambda old, new: self._update_empty())

    def _update_empty(self) -> None:
        if self._pods.list():
            self.empty.clear()
        else:
            self.empty.set()

    async def run(self) -> None:
        """Take four samples a second, until cancelled."""
        while True:
            self.samples.append(self.now())
            await self._clock.sleep(_SECONDS)

    def now(self) -> Mapping[str, int]:
        return ready_instances(self._pods.list())

    @property
    def seconds(self) -> float:
        """The time that the samples cover."""
        return len(self.samples) * _SECONDS

    def most(self, revision: str) -> int:
        return max((sample.get(revision, 0) for sample in self.samples), default=0)

    def line(self, revision: str, width: int) -> str:
        return plot([sample.get(revision, 0) for sample in self.samples], width, self.most(revision))


def ready_instances(pods: Iterable[Object]) -> Counter[str]:
    """The number of ready instances of each revision."""
    return Counter(objects.labels(pod).get(names.REVISION, "") for pod in pods if is_true(pod))


def plot(values: Sequence[int], width: int, most: int) -> str:
    """The values as a line of at most `width` blocks; a block shows the highest of its values, a dot shows zero.

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
