# SPDX-License-Identifier: Apache-2.0
"""What the running instances of a revision use, for whoever scales by that.

In: questions (`usage`), the Pods, what the agent reads of a Pod's processes. Out: CPU and memory of each ready
instance. Who: the autoscaler's class HPA asks with every decision; `embedded.py` builds it and runs it.

A revision is sampled from the first question about it for as long as questions come: while nobody asks, this costs
nothing. CPU is the difference of two samples, so that an instance is known from the second one that finds it ready;
what it used to get ready does not count.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from tidegate.client.informer import Informer
from tidegate.kit.clock import Clock
from tidegate.model import pods
from tidegate.model.objects import Key, Object, key, spec
from tidegate.model.text import quantities
from tidegate.model.usage import Usage
from tidegate.node.runtime import PodUsage

_EVERY = 3.0  # seconds; at 100 ticks a second, CPU is then known to a third of a percent of a core
_FORGOTTEN_AFTER = 20.0  # seconds without a question; the autoscaler decides every two


class _Sample(NamedTuple):
    """What a Pod had used at a moment."""

    time: float
    used: PodUsage


class Sampler:
    """Samples what is asked for. `used`: what a Pod's processes have used so far, where calls that come together share
    one look at all processes."""

    def __init__(self, *, pods: Informer, used: Callable[[Key], Awaitable[PodUsage | None]], clock: Clock) -> None:
        self._pods = pods
        self._used = used
        self._clock = clock
        self._asked: dict[Key, float] = {}  # when each revision was last asked for
        self._samples: dict[Key, _Sample] = {}  # of each ready Pod, the last one
        self._known: dict[Key, list[Usage]] = {}  # by revision
        self._wanted = asyncio.Event()

    def usage(self, revision: Key) -> Sequence[Usage]:
        """Of each instance that is known; none of a revision that nobody asked for before."""
        self._asked[revision] = self._clock.monotonic()
        self._wanted.set()
        return self._known.get(revision, ())

    async def run(self) -> None:
        """Sample until cancelled."""
        while True:
            await self._wanted.wait()
            await self._sample()
            await self._clock.sleep(_EVERY)
            self._forget()

    async def _sample(self) -> None:
        """Look once, for all of them; not at all while none has an instance."""
        ready = {revision: self._ready(revision) for revision in self._asked}
        names = [key(pod) for of in ready.values() for pod in of]
        found = await asyncio.gather(*map(self._used, names))
        now = self._clock.monotonic()
        before = self._samples
        self._samples = {name: _Sample(now, used) for name, used in zip(names, found, strict=True) if used is not None}
        self._known = {revision: self._since(before, of) for revision, of in ready.items() if of}

    def _ready(self, revision: Key) -> list[Object]:
        return [pod for pod in self._pods.indexed("revision", str(revision)) if pods.is_ready(pod)]

    def _since(self, before: dict[Key, _Sample], of: list[Object]) -> list[Usage]:
        found = []
        for pod in of:
            first, last = before.get(key(pod)), self._samples.get(key(pod))
            if first is None or last is None:
                continue
            cpu = (last.used.cpu_seconds - first.used.cpu_seconds) / (last.time - first.time)
            if cpu >= 0:  # else a process has ended that nobody counts any more, and the next difference will do
                found.append(Usage(cpu, cpu_request(pod), last.used.memory_bytes))
        return found

    def _forget(self) -> None:
        oldest = self._clock.monotonic() - _FORGOTTEN_AFTER
        self._asked = {revision: when for revision, when in self._asked.items() if when > oldest}
        if not self._asked:
            self._samples, self._known = {}, {}
            self._wanted.clear()


def cpu_request(pod: Object) -> float:
    """Cores that its containers ask for; one that only has a limit asks for that, as in Kubernetes."""
    return sum(map(_cpu_request, spec(pod)["containers"]))


def _cpu_request(container: Object) -> float:
    resources = container.get("resources") or {}
    asked = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
    try:
        return max(0.0, float(quantities.parse(asked.get("cpu", 0)).amount))
    except ValueError:  # admission lets it pass; nothing is asked for then
        return 0.0
