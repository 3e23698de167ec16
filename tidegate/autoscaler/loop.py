# SPDX-License-Identifier: Apache-2.0
"""The autoscaler: load in, wanted scales out, on the PodAutoscalers.

In: PodAutoscalers and Pods (informers), `LoadReport`s (the gateway calls `report`), the time. Out: PodAutoscaler
status. `embedded.py` builds it and runs it.

A revision has a `Scaler` here while instances are wanted, and a turn in the tick only while there is load or its number
may still move: one at rest costs nothing. Decisions are taken

- every two seconds, as Knative does;
- at once when a request is heard of where none is wanted, for as many as wait at that moment;
- with a report that says that requests wait, which a gate sends each time they have become twice as many, and with any
  in the first second after zero; such a decision only adds, rates and delays stay those of the tick;
- with a tick for which a class that learns names a revision, also if it is at rest.

A decision only wakes the revision's key; `reconcile` holds it within its bounds and writes the status where it differs.
"""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial

import structlog

from tidegate.autoscaler import bounds, status
from tidegate.autoscaler import policies as classes
from tidegate.autoscaler.policies import AnyPolicy, Learning
from tidegate.autoscaler.scale import Scaled, scale
from tidegate.autoscaler.scaler import Scaler
from tidegate.client.cluster import Cluster
from tidegate.client.events import Recorder
from tidegate.client.informer import Informer
from tidegate.kit.backoff import Backoff
from tidegate.kit.clock import Clock
from tidegate.model import errors, kinds, pods
from tidegate.model.conditions import condition, is_false, is_true
from tidegate.model.config import Configs
from tidegate.model.load import LoadReport
from tidegate.model.objects import Key, Object, is_deleting, key
from tidegate.model.objects import status as status_of
from tidegate.reconcile.queue import WorkQueue

TICK = 2.0  # seconds; a constant in Knative too
_BREATH = 20  # decisions of a tick between which other tasks have a turn
_WRITTEN_AFTER = 0.02  # seconds; longer than it takes to start an instance, and far below what anyone notices
_AGAIN = 0.05  # seconds between two such decisions while instances run
_log = structlog.get_logger("autoscaler")


class Autoscaler:
    """The scale of all revisions whose class is one of ours. `foresee` hears of a scale that grows while its write is
    under way, so that instances need not wait for that."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        pod_autoscalers: Informer,
        pods: Informer,
        configs: Callable[[], Configs],
        clock: Clock,
        recorder: Recorder,
        foresee: Callable[[Key, int], None] | None = None,
        policies: Mapping[str, AnyPolicy] | None = None,
    ) -> None:
        self._cluster = cluster
        self._pod_autoscalers = pod_autoscalers
        self._pods = pods
        self._configs = configs
        self._clock = clock
        self._recorder = recorder
        self._foresee = foresee
        self._foretold: dict[Key, int] = {}
        self._policies = classes.installed() if policies is None else policies
        self._learning = {name: policy for name, policy in self._policies.items() if isinstance(policy, Learning)}
        self._scalers: dict[Key, Scaler] = {}
        self._ticking: dict[Key, Scaler] = {}
        self._heard = 0.0  # when a gate spoke last, about whichever revision
        self._faults = Backoff(first=1.0, limit=60.0)
        self._resting: dict[Key | str, float] = {}  # until when nothing is tried for those with which it failed
        self._work: WorkQueue[Key] = WorkQueue("autoscaler", self.reconcile, clock=clock)
        pod_autoscalers.subscribe(self._on_pod_autoscaler)
        pods.subscribe(self._on_pod)

    @property
    def known(self) -> int:
        """How many revisions something is remembered of."""
        return len(self._scalers)

    @property
    def ticking(self) -> int:
        """How many have a decision with every tick."""
        return len(self._ticking)

    async def run(self) -> None:
        """Decide until cancelled, once it is known what there is: a Pod not yet heard of would count as not ready."""
        await self._pod_autoscalers.synced()
        await self._pods.synced()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._work.run(), name="autoscaler work")
            group.create_task(self._tick_forever(), name="autoscaler tick")

    def report(self, report: LoadReport) -> None:
        """What a gate says of one revision; decides at once where requests wait."""
        self._heard = max(self._heard, report.time)
        scaler = self._scalers.get(report.revision)
        if scaler is None:
            if report.in_flight + report.queued == 0:
                return
            pod_autoscaler = self._pod_autoscalers.get(report.revision)
            scaler = None if pod_autoscaler is None else self._scaler_of(pod_autoscaler)
            if scaler is None:
                return
        now = self._clock.monotonic()
        self._try(report.revision, partial(self._take, scaler, report, now), now)

    def _take(self, scaler: Scaler, report: LoadReport, now: float) -> None:
        if scaler.learning is not None:
            scaler.learning.learn(report.revision, report)
        scaler.measure(report.time).add(report)
        self._ticking[scaler.key] = scaler
        waits_for_the_first = scaler.desired <= 0 or (report.queued and not self._count(scaler))
        may_want_more = report.queued or scaler.is_waking(now)
        if waits_for_the_first or (may_want_more and now - scaler.decided_at >= _AGAIN):
            self._add(scaler, now)

    async def reconcile(self, name: Key) -> None:
        """Hold the last decision of one revision within its bounds, and let its status say so."""
        pod_autoscaler = self._pod_autoscalers.get(name)
        scaler = None if pod_autoscaler is None else self._scaler_of(pod_autoscaler)
        if pod_autoscaler is None or scaler is None:
            self._forget(name)
            return
        standing = status.standing(pod_autoscaler, self._clock.monotonic() - scaler.since)
        scaled = scale(scaler.desired, scaler.bounds, standing)
        if self._is_foretold(pod_autoscaler, scaled.scale):
            return
        await self._write(pod_autoscaler, scaler, scaled)
        if scaled.check_after is not None:
            self._work.wake_after(name, scaled.check_after)
        if scaler.scale == scaler.desired == 0 and scaler.meter is None:
            self._forget(name)

    def _is_foretold(self, pod_autoscaler: Object, wanted: int) -> bool:
        """Whether instances for a scale that grows are being made already: then its write comes a little later, and not
        between a request that waits and its instance."""
        name = key(pod_autoscaler)
        grows = wanted > status_of(pod_autoscaler).get("desiredScale", 0)
        if self._foresee is None or not grows or self._foretold.get(name) == wanted:
            self._foretold.pop(name, None)
            return False
        self._foretold[name] = wanted
        self._foresee(name, wanted)
        self._work.wake_after(name, _WRITTEN_AFTER)
        return True

    async def tick(self) -> None:
        """One decision for every revision with load, or whose number may still move, or that its class names."""
        for name, learning in self._learning.items():
            now = self._clock.monotonic()
            self._try(name, partial(self._look_ahead, learning, now), now)
        for number, scaler in enumerate(list(self._ticking.values())):
            if number % _BREATH == _BREATH - 1:
                await asyncio.sleep(0)
            now = self._clock.monotonic()
            self._try(scaler.key, partial(self._decide, scaler, now), now)

    def _try(self, name: Key | str, work: Callable[[], None], now: float) -> None:
        """Do something for one revision, or for one class. What goes wrong there (e.g. in a class that was brought)
        must not hold up the others: it is logged, and tried again after a growing wait."""
        if now < self._resting.get(name, 0.0):
            return
        try:
            work()
        except Exception as error:
            delay = self._faults.next(name)
            self._resting[name] = now + delay
            _log.error("autoscaling failed", of=str(name), retry_in=delay, exc_info=error)
        else:
            self._recover(name)

    def _recover(self, name: Key | str) -> None:
        if self._resting.pop(name, None) is not None:
            self._faults.forget(name)

    def _decide(self, scaler: Scaler, now: float) -> None:
        self._count(scaler)
        if scaler.decide(now, self._heard):
            self._work.wake(scaler.key)
        if scaler.is_settled:
            self._ticking.pop(scaler.key, None)
            scaler.rest()
            if scaler.scale == 0:
                self._work.wake(scaler.key)

    def _look_ahead(self, learning: Learning, now: float) -> None:
        for name in learning.due(now):
            pod_autoscaler = self._pod_autoscalers.get(name)
            scaler = None if pod_autoscaler is None else self._scaler_of(pod_autoscaler)
            if scaler is not None and scaler.learning is learning:
                self._ticking[name] = scaler
            else:
                learning.forget(name)

    async def _tick_forever(self) -> None:
        configs = self._configs()
        while True:
            await self._clock.sleep(TICK)
            if self._configs() is not configs:
                configs = self._configs()
                for pod_autoscaler in self._pod_autoscalers.list():
                    self._work.wake(key(pod_autoscaler))
            await self.tick()

    def _add(self, scaler: Scaler, now: float) -> None:
        """Decide between two ticks; fewer is for the tick to say."""
        self._count(scaler)
        if scaler.decide(now, self._heard, only_more=True):
            self._work.wake(scaler.key)

    def _scaler_of(self, pod_autoscaler: Object) -> Scaler | None:
        """The scaler of a revision, made where there is none; None where its class is not ours or it is going."""
        name, configs = key(pod_autoscaler), self._configs()
        scaled_by = bounds.class_of(pod_autoscaler, configs)
        policy = self._policies.get(scaled_by)
        if policy is None or is_deleting(pod_autoscaler):
            return None
        scaler = self._scalers.get(name)
        if scaler is not None and scaler.policy is policy:
            if scaler.follow(pod_autoscaler, configs) and scaler.scale != 0:
                self._ticking[name] = scaler
            return scaler
        # What is active counts as active from now on: nothing is known yet of how long it has been without load.
        active = is_true(pod_autoscaler, status.ACTIVE)
        seconds = 0.0 if active else status.seconds_standing(pod_autoscaler, self._clock.wall())
        standing = status.standing(pod_autoscaler, seconds)
        learning = self._learning.get(scaled_by)
        scaler = Scaler(name, policy, pod_autoscaler, configs, standing, self._clock.monotonic(), learning)
        self._scalers[name] = scaler
        if scaler.scale != 0:
            self._ticking[name] = scaler
        return scaler

    def _forget(self, name: Key) -> None:
        self._scalers.pop(name, None)
        self._ticking.pop(name, None)
        self._foretold.pop(name, None)
        self._recover(name)

    def _count(self, scaler: Scaler) -> int:
        if scaler.ready is None:
            scaler.ready = sum(map(pods.is_ready, self._pods.indexed("revision", str(scaler.key))))
        return scaler.ready

    async def _write(self, pod_autoscaler: Object, scaler: Scaler, scaled: Scaled) -> None:
        now, wall = self._clock.monotonic(), self._clock.wall()
        wanted = status.observed_status(
            pod_autoscaler, scaled, self._count(scaler), scaler.bounds, wall, scaler.decision
        )
        scaler.scale = scaled.scale
        before = status_of(pod_autoscaler)
        if wanted == before:
            return
        changed = {name: value for name, value in wanted.items() if before.get(name) != value}
        try:
            # Without a resourceVersion: nobody else writes this status, and it must not wait for a newer object.
            written = await self._cluster.patch(
                kinds.POD_AUTOSCALER, scaler.key, {"status": changed}, subresource="status"
            )
        except errors.NotFound:
            return
        self._pod_autoscalers.learn(written)
        active = condition(written, status.ACTIVE)
        if active["status"] != scaler.active:
            scaler.active, scaler.since = active["status"], now
            if active.get("reason") == status.TIMED_OUT:
                self._recorder.warning(written, status.TIMED_OUT, f"{active['message']} {scaled.because}")
        if is_false(written, status.SCALING_ACTIVE) and not is_false(pod_autoscaler, status.SCALING_ACTIVE):
            scaling = condition(written, status.SCALING_ACTIVE)
            self._recorder.warning(written, scaling["reason"], scaling["message"])

    def _on_pod_autoscaler(self, old: Object | None, new: Object | None) -> None:
        obj = new or old
        if obj is not None:
            self._work.wake(key(obj))

    def _on_pod(self, old: Object | None, new: Object | None) -> None:
        pod = new or old
        name = None if pod is None else pods.revision_key(pod)
        if name is None or (old is not None and pods.is_ready(old)) == (new is not None and pods.is_ready(new)):
            return
        scaler = self._scalers.get(name)
        if scaler is not None:
            scaler.ready = None
        self._work.wake(name)
