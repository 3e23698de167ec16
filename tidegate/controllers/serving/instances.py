# SPDX-License-Identifier: Apache-2.0
"""PodAutoscaler -> as many Pods of its Revision as it wants.

In: `status.desiredScale` of a PodAutoscaler, the Pods there are, how many requests each has. Out: Pods made, or
deleted. No Deployment is in between: a Revision never changes, so that nothing has to be rolled, and who goes when it
scales down is our choice:

1. one that cannot run, as in its back-off or where no node has room;
2. one that has not begun to run, then one that runs and is not ready;
3. of those, who has the fewest requests in flight, so an idle one first;
4. of those, who was started again most often;
5. of those, the youngest.

This is how Kubernetes ranks the Pods of a ReplicaSet, with two differences: what cannot run goes before what is about
to, and requests in flight count.

What the API refuses (a quota has no room) is told in an Event and to `refused`, which the Revision shows. It is tried
again when a quota of the namespace allows more or has more left, and now and then; nothing else that happens to the
revision makes it try.

Where a revision keeps instances on standby (`standby`), they go there first and are woken first. Of one that is woken
the node hears at once (`wake`); that its Pod does not stand by any more is written meanwhile.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from tidegate.client.events import Recorder
from tidegate.client.informer import Informer
from tidegate.controllers.serving import standby
from tidegate.controllers.serving.pod import desired_pod
from tidegate.controllers.serving.refused import FAILED_CREATE, Refused
from tidegate.controllers.serving.revision import instances, revision_of
from tidegate.kit.backoff import Backoff
from tidegate.kit.clock import Clock
from tidegate.model import errors, names, pods, quota
from tidegate.model.config import Configs, Flag
from tidegate.model.objects import Key, Object, is_controlled_by, is_deleting, key, status, uid
from tidegate.reconcile.expectations import Expectations
from tidegate.reconcile.writer import REFUSALS, Writer, alive, is_of_going, itself, queue, waking

LoadOf = Callable[[Key], Mapping[str, int]]
"""The requests in flight at each instance of a Revision, by its "ip:port"."""

Wake = Callable[[Key], None]
"""Lets a Pod that stands by go on at once. What its label says holds."""

_AT_ONCE = 50
"""Pods made side by side: so many share one commit."""

_AFTER_THE_REQUEST = 0.01
"""Seconds after which it is written that an instance was woken."""

_SCALE_EXPECTED_FOR = 5.0
"""Seconds within which the autoscaler has to write a scale that it has announced."""

_WAKING_EXPECTED_FOR = 5.0
"""Seconds within which a woken Pod has to lose its label; the node freezes it again after the same time."""

_DELETION_EXPECTED_FOR = 300.0
"""Seconds within which the watch has to show a deletion, as in Kubernetes (ExpectationsTimeout)."""

_REFUSED_FOR = 1.0, 60.0
"""Seconds: the first wait and the longest before what was refused is tried again."""


def by_its_label(pod: Key) -> None:
    """Whoever runs the Pod reads there that it does not stand by any more."""


class Instances:
    """Keeps every Revision's Pods in number."""

    def __init__(
        self,
        *,
        writer: Writer,
        revisions: Informer,
        pod_autoscalers: Informer,
        pods: Informer,
        resource_quotas: Informer,
        refused: Refused,
        load_of: LoadOf,
        wake: Wake = by_its_label,
        configs: Callable[[], Configs],
        recorder: Recorder,
        clock: Clock,
    ) -> None:
        self._writer = writer
        self._revisions = revisions
        self._autoscalers = pod_autoscalers
        self._pods = pods
        self._refused = refused
        self._load_of = load_of
        self._wake = wake
        self._configs = configs
        self._recorder = recorder
        self._clock = clock
        self._refusals = Backoff(*_REFUSED_FOR)
        self._held_until: dict[Key, float] = {}  # by revision: when to try again, if nothing comes of it before
        self.work = queue("instances", self.reconcile, clock)
        wake_after = self.work.wake_after
        self._scales: Expectations[Key, int] = Expectations(clock, _SCALE_EXPECTED_FOR, wake_after)
        self._deleted: Expectations[Key, bool] = Expectations(clock, _DELETION_EXPECTED_FOR, wake_after)
        self._woken: Expectations[Key, bool] = Expectations(clock, _WAKING_EXPECTED_FOR, wake_after)
        revisions.subscribe(waking(self.work, itself))
        pod_autoscalers.subscribe(self._on_pod_autoscaler)
        pods.subscribe(self._confirm)
        pods.subscribe(waking(self.work, revision_of))
        resource_quotas.subscribe(self._on_quota)

    def expect_scale(self, revision: Key, scale: int) -> None:
        """The autoscaler is about to write a scale that grows, because a request waits: make its Pods meanwhile."""
        self._scales.expect(revision, scale)
        self.work.wake(revision)

    def _on_pod_autoscaler(self, old: Object | None, new: Object | None) -> None:
        obj = new or old
        if obj is None:
            return
        name = key(obj)
        expected = self._scales.get(name)
        if new is None or (expected is not None and status(new).get("desiredScale", -1) >= expected):
            self._scales.confirm(name)
        self.work.wake(name)

    def _confirm(self, old: Object | None, new: Object | None) -> None:
        """A Pod says what was expected of it."""
        pod = new or old
        revision = None if pod is None else pods.revision_key(pod)
        if pod is None or revision is None:
            return
        if new is None or is_deleting(new):
            self._deleted.confirm(revision, uid(pod))
        if new is None or not pods.is_standby(new):
            self._woken.confirm(revision, uid(pod))

    def _on_quota(self, old: Object | None, new: Object | None) -> None:
        if old is not None and quota.eases(old, new):
            for revision in self._refused.within(key(old).namespace):
                self._held_until.pop(revision, None)
                self.work.wake(revision)

    def _wanted(self, name: Key, autoscaler: Object) -> int:
        expected = self._scales.get(name)
        return max(int(status(autoscaler).get("desiredScale", -1)), -1 if expected is None else expected)

    async def reconcile(self, name: Key) -> None:
        """Make, wake, put on standby or delete as many Pods as are missing or too many."""
        revision, autoscaler = alive(self._revisions, name), self._autoscalers.get(name)
        if revision is None:
            for expectations in (self._scales, self._deleted, self._woken):
                expectations.forget(name)
            self._let_go(name)
            return
        wanted = self._wanted(name, autoscaler) if autoscaler is not None else -1
        if autoscaler is None or wanted < 0 or not is_controlled_by(autoscaler, revision):
            return
        living = self._living(name, revision)
        ended = [pod for pod in living if status(pod).get("phase") in ("Failed", "Succeeded")]
        running = [pod for pod in living if pod not in ended]
        expected = self._woken.all(name)
        woken = [pod for pod in running if uid(pod) in expected]
        standing_by = [pod for pod in running if pods.is_standby(pod) and pod not in woken]
        in_use = [pod for pod in running if pod not in standing_by]
        surplus = victims(in_use, len(in_use) - wanted, self._load_of(name))
        plan = standby.plan(wanted, len(in_use), surplus, standing_by, standby.places(revision))
        if not plan.make and not plan.make_standby:
            self._let_go(name)
        may_make = not self._is_held(name)
        self._rouse(name, plan.wake)
        for pod in (*ended, *plan.delete):
            await self._delete(name, pod)
        await asyncio.gather(
            self._make(revision, plan.make if may_make else 0),
            self._make(revision, plan.make_standby if may_make else 0, stands_by=True),
            *(self._label(pod, None) for pod in woken if pod not in surplus),
            *(self._label(pod, "true") for pod in plan.rest),
        )
        if not self._is_held(name):
            self._let_go(name)

    def _rouse(self, name: Key, asleep: Sequence[Object]) -> None:
        """Let them go on. It is written in a moment: the processor is for the request that waits."""
        for pod in asleep:
            self._woken.expect(name, True, uid(pod))
            self._wake(key(pod))
            self.work.wake_after(name, _AFTER_THE_REQUEST)

    async def _label(self, pod: Object, standby: str | None) -> None:
        await self._writer.patch_metadata(self._pods, pod, labels={names.STANDBY: standby})

    async def _delete(self, name: Key, pod: Object) -> None:
        self._deleted.expect(name, True, uid(pod))
        try:
            await self._writer.delete(self._pods, pod)
        except errors.ApiError:
            self._deleted.confirm(name, uid(pod))
            raise

    def _living(self, name: Key, revision: Object) -> list[Object]:
        deleted = self._deleted.all(name)
        return [pod for pod in instances(revision, self._pods) if uid(pod) not in deleted]

    async def _make(self, revision: Object, missing: int, *, stands_by: bool = False) -> None:
        anywhere = self._configs().features.multi_container_probing is Flag.ENABLED
        pod = desired_pod(revision, standby=stands_by, liveness_anywhere=anywhere) if missing > 0 else {}
        at_once = 1 if self._refused.get(key(revision)) else _AT_ONCE  # it may well be refused again
        while missing > 0:
            batch = (self._writer.create(self._pods, pod) for _ in range(min(missing, at_once)))
            made = await asyncio.gather(*batch, return_exceptions=True)
            failed = next((error for error in made if isinstance(error, BaseException)), None)
            if isinstance(failed, errors.ApiError):
                self._recorder.warning(revision, FAILED_CREATE, f"Error creating: {_told(failed, pod)}")
            if isinstance(failed, (errors.Forbidden, *REFUSALS)) and not is_of_going(failed):
                self._hold(key(revision), _told(failed, pod))
                return
            if failed is not None:
                raise failed
            missing, at_once = missing - len(made), _AT_ONCE

    def _hold(self, name: Key, message: str) -> None:
        delay = self._refusals.next(name)
        self._held_until[name] = self._clock.monotonic() + delay
        self.work.wake_after(name, delay)
        self._refused.tell(name, message)

    def _is_held(self, name: Key) -> bool:
        """Whether the API has refused Pods of it lately."""
        return self._clock.monotonic() < self._held_until.get(name, 0.0)

    def _let_go(self, name: Key) -> None:
        self._held_until.pop(name, None)
        self._refusals.forget(name)
        self._refused.tell(name, "")


def _told(error: errors.ApiError, pod: Object) -> str:
    """Why the Pod was refused, without the end of its name, which is another one each time: the same is told once."""
    return error.message.replace(f'"{error.details.get("name", "")}"', f'"{pod["metadata"]["generateName"]}"')


def victims(running: Sequence[Object], surplus: int, load: Mapping[str, int]) -> list[Object]:
    """Who goes, given the Pods from oldest to youngest and the requests in flight by "ip:port"."""
    if surplus <= 0:
        return []

    def rank(numbered: tuple[int, Object]) -> tuple[int, int, int, int]:
        age, pod = numbered
        return _worth(pod), load.get(pods.endpoint(pod) or "", 0), -pods.restarts(pod), -age

    by_age = sorted(running, key=lambda pod: pod["metadata"].get("creationTimestamp", ""))
    return [pod for _, pod in sorted(enumerate(by_age), key=rank)[:surplus]]


def _worth(pod: Object) -> int:
    """How near it is to taking requests."""
    if pods.is_ready(pod):
        return 3
    if pods.failure(pod) is not None or pods.unschedulable(pod) is not None:
        return 0
    return 2 if status(pod).get("phase") == "Running" else 1
