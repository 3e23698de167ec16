# SPDX-License-Identifier: Apache-2.0
"""CPU and memory of the running instances of a revision, for autoscaling classes.

In: questions (`usage`), the Pods, the totals that the agent reads of a Pod's processes. Out: CPU and memory of each
ready instance. Called by: the class HPA with every decision; `node.py` builds it and runs it.

A revision is sampled from the first question about it until questions stop (`kit/sampling.py`). CPU is the difference
of two samples, so an instance is known from the second sample that finds it ready; CPU used before does not count.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from tidegate.client.context import Context
from tidegate.client.informers import ready_pods
from tidegate.kit.sampling import EVERY, Demand, Total
from tidegate.model import container_resources
from tidegate.model.objects import Key, Object, key, spec
from tidegate.model.text import quantities
from tidegate.model.usage import Usage
from tidegate.node.runtime import PodUsage


class _Sample(NamedTuple):
    """The usage of a Pod at a moment."""

    cpu: Total  # CPU seconds
    memory: int  # bytes


class Sampler:
    """Samples the revisions in demand. `used`: the usage of a Pod's processes so far; simultaneous calls share one look
    at all processes."""

    def __init__(self, context: Context, used: Callable[[Key], Awaitable[PodUsage | None]]) -> None:
        self._pods = context.informers.pods
        self._used = used
        self._clock = context.clock
        self._demand: Demand[Key] = Demand(context.clock)
        self._samples: dict[Key, _Sample] = {}  # the last one of each ready Pod
        self._known: dict[Key, list[Usage]] = {}  # by revision
        self._wanted = asyncio.Event()

    def usage(self, revision: Key) -> Sequence[Usage]:
        """The usage of each known instance; empty at the first question about a revision."""
        self._demand.ask(revision)
        self._wanted.set()
        return self._known.get(revision, ())

    async def run(self) -> None:
        """Sample until cancelled."""
        while True:
            await self._wanted.wait()
            await self._sample()
            await self._clock.sleep(EVERY)
            self._forget()

    async def _sample(self) -> None:
        """Take one sample of the instances of all revisions in demand."""
        ready = {revision: ready_pods(self._pods, revision) for revision in self._demand.current()}
        names = [key(pod) for of in ready.values() for pod in of]
        found = await asyncio.gather(*map(self._used, names))
        now = self._clock.monotonic()
        before = self._samples
        self._samples = {
            name: _Sample(Total(now, used.cpu_seconds), used.memory_bytes)
            for name, used in zip(names, found, strict=True)
            if used is not None
        }
        self._known = {revision: self._since(before, of) for revision, of in ready.items() if of}

    def _since(self, before: dict[Key, _Sample], of: list[Object]) -> list[Usage]:
        found = []
        for pod in of:
            first, last = before.get(key(pod)), self._samples.get(key(pod))
            if first is None or last is None:
                continue
            cpu = last.cpu.rate_since(first.cpu)
            if cpu is not None:  # else a process has ended since, and the next difference is right again
                found.append(Usage(cpu, cpu_request(pod), last.memory))
        return found

    def _forget(self) -> None:
        if not self._demand.current():
            self._samples, self._known = {}, {}
            self._wanted.clear()


def cpu_request(pod: Object) -> float:
    """The cores that the containers of a Pod request; a limit without a request counts as one, as in Kubernetes."""
    return sum(map(_cpu_request, spec(pod)["containers"]))


def _cpu_request(container: Object) -> float:
    asked = container_resources.requests(container)
    try:
        return max(0.0, float(quantities.parse(asked.get("cpu", 0)).amount))
    except ValueError:  # admission accepts it; it requests nothing
        return 0.0
