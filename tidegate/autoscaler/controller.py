# SPDX-License-Identifier: Apache-2.0
"""The controller of PodAutoscalers: load in, scales out.

In: PodAutoscalers and Pods (informers), `LoadReport`s (`report`), the time. Out: PodAutoscaler status. Called by:
`autoscaler.py`, which builds and runs it.

A revision has a `Scaler` while it needs instances, and takes part in a tick only while it has load or its scale may
still change: a revision at rest costs nothing. There are decisions

- every 2 s (the tick), as in Knative;
- at once when a request arrives at a revision without instances, for all requests that wait at that moment;
- with a report on waiting requests, which a gate sends each time their number doubles, and with any report in the
  first second after zero; such a decision only adds instances, and rates and delays still belong to the tick;
- in a tick for which a learning class names the revision, even if it rests.

A decision only wakes the revision's key; `reconcile` applies the bounds and writes the status if it differs.
"""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial

from tidegate.autoscaler import status
from tidegate.autoscaler.guard import Guard
from tidegate.autoscaler.policies import AnyPolicy, Learning
from tidegate.autoscaler.scale import scale
from tidegate.autoscaler.scaler import TICK, Scaler
from tidegate.autoscaler.scalers import Scalers
from tidegate.autoscaler.writer import StatusWriter
from tidegate.client.context import Context
from tidegate.model import pods
from tidegate.model.load import LoadReport
from tidegate.model.objects import Key, Object, key
from tidegate.model.objects import status as status_of
from tidegate.reconcile.expectations import Expectations
from tidegate.reconcile.queue import WorkQueue

_YIELD_EVERY = 20  # decisions of a tick, after which other tasks get a turn
_WRITE_DELAY = 0.02  # seconds; longer than an instance takes to start, and too short to matter to a reader
_ADD_EVERY = 0.05  # seconds between two decisions outside of ticks while instances run


class PodAutoscalerController:
    """Scales all revisions whose class is installed.

    `announce` is called with a scale that grows, before its write, so that instances need not wait for the write.
    """

    def __init__(
        self, context: Context, policies: Mapping[str, AnyPolicy], announce: Callable[[Key, int], None] | None = None
    ) -> None:
        self._configs = context.configs
        self._clock = context.clock
        self._pods = context.informers.pods
        self._pod_autoscalers = context.informers.pod_autoscalers
        self._announce = announce
        self._announced: Expectations[Key, int] = Expectations(context.clock)  # scales that are about to be written
        self._learning = {name: policy for name, policy in policies.items() if isinstance(policy, Learning)}
        self._scalers = Scalers(context, policies)
        self._writer = StatusWriter(context)
        self._guard = Guard(context.clock)
        self._reported = 0.0  # when any gate sent a report last, about any revision
        self._queue: WorkQueue[Key] = WorkQueue("autoscaler", self.reconcile, clock=context.clock)
        self._pod_autoscalers.subscribe(self._on_pod_autoscaler)
        self._pods.subscribe(self._on_pod)

    @property
    def known(self) -> int:
        """The number of revisions that have a scaler."""
        return len(self._scalers)

    @property
    def ticking(self) -> int:
        """The number of revisions that need a decision in each tick."""
        return len(self._scalers.ticking)

    async def run(self) -> None:
        """Decide until cancelled, once the informers are complete: an unknown Pod would count as not ready."""
        await self._pod_autoscalers.synced()
        await self._pods.synced()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._queue.run(), name="autoscaler queue")
            group.create_task(self._tick_forever(), name="autoscaler tick")

    def report(self, report: LoadReport) -> None:
        """Count a gate's report on one revision, and decide at once if requests wait."""
        self._reported = max(self._reported, report.time)
        if self._scalers.get(report.revision) is not None or report.in_flight + report.queued:
            self._guard.run(report.revision, partial(self._count, report))

    def _count(self, report: LoadReport, now: float) -> None:
        scaler = self._scalers.get(report.revision) or self._scalers.current(report.revision)
        if scaler is None:
            return
        if scaler.learning is not None:
            scaler.learning.learn(report.revision, report)
        scaler.measure(report.time).add(report)
        self._scalers.ticking[scaler.key] = scaler
        needs_the_first = scaler.desired <= 0 or (report.queued and not self._scalers.count_ready(scaler))
        may_need_more = report.queued or scaler.is_waking(now)
        if needs_the_first or (may_need_more and now - scaler.decided_at >= _ADD_EVERY):
            self._decide(scaler, now, only_more=True)

    async def tick(self) -> None:
        """Decide on every revision that has load, whose scale may still change, or that its class names."""
        for name, learning in self._learning.items():
            self._guard.run(name, partial(self._look_ahead, learning))
        for number, scaler in enumerate(list(self._scalers.ticking.values())):
            if number % _YIELD_EVERY == _YIELD_EVERY - 1:
                await asyncio.sleep(0)
            self._guard.run(scaler.key, partial(self._decide_and_settle, scaler))

    def _look_ahead(self, learning: Learning, now: float) -> None:
        for name in learning.due(now):
            scaler = self._scalers.current(name)
            if scaler is not None and scaler.learning is learning:
                self._scalers.ticking[name] = scaler
            else:
                learning.forget(name)

    def _decide(self, scaler: Scaler, now: float, *, only_more: bool = False) -> None:
        self._scalers.count_ready(scaler)
        if scaler.decide(now, self._reported, only_more=only_more):
            self._queue.wake(scaler.key)

    def _decide_and_settle(self, scaler: Scaler, now: float) -> None:
        self._decide(scaler, now)
        if scaler.is_settled:
            self._scalers.ticking.pop(scaler.key, None)
            scaler.rest()
            if scaler.scale == 0:
                self._queue.wake(scaler.key)

    async def _tick_forever(self) -> None:
        configs = self._configs.current
        while True:
            await self._clock.sleep(TICK)
            if self._configs.current is not configs:
                configs = self._configs.current
                for pod_autoscaler in self._pod_autoscalers.list():
                    self._queue.wake(key(pod_autoscaler))
            await self.tick()

    async def reconcile(self, name: Key) -> None:
        """Apply the bounds to the last decision on one revision, and write its status if it differs."""
        pod_autoscaler = self._pod_autoscalers.get(name)
        scaler = None if pod_autoscaler is None else self._scalers.of(pod_autoscaler)
        if pod_autoscaler is None or scaler is None:
            self._forget(name)
            return
        standing = status.standing(pod_autoscaler, self._clock.monotonic() - scaler.since)
        scaled = scale(scaler.desired, scaler.bounds, standing)
        if self._is_announced(pod_autoscaler, scaled.scale):
            return
        await self._writer.write(pod_autoscaler, scaler, scaled, self._scalers.count_ready(scaler))
        if scaled.check_after is not None:
            self._queue.wake_after(name, scaled.check_after)
        if scaler.scale == scaler.desired == 0 and scaler.meter is None:
            self._forget(name)

    def _is_announced(self, pod_autoscaler: Object, wanted: int) -> bool:
        """Whether `announce` was just called for a scale that grows. Its write then follows a little later, so that it
        does not delay the instance for which a request waits."""
        name = key(pod_autoscaler)
        grows = wanted > status_of(pod_autoscaler).get("desiredScale", 0)
        if self._announce is None or not grows or self._announced.get(name) == wanted:
            self._announced.confirm(name)
            return False
        self._announced.expect(name, wanted)
        self._announce(name, wanted)
        self._queue.wake_after(name, _WRITE_DELAY)
        return True

    def _forget(self, name: Key) -> None:
        self._scalers.forget(name)
        self._announced.forget(name)
        self._guard.forget(name)

    def _on_pod_autoscaler(self, old: Object | None, new: Object | None) -> None:
        obj = new or old
        if obj is not None:
            self._queue.wake(key(obj))

    def _on_pod(self, old: Object | None, new: Object | None) -> None:
        pod = new or old
        name = None if pod is None else pods.revision_key(pod)
        if name is None or (old is not None and pods.is_ready(old)) == (new is not None and pods.is_ready(new)):
            return
        scaler = self._scalers.get(name)
        if scaler is not None:
            scaler.ready = None
        self._queue.wake(name)
