# SPDX-License-Identifier: Apache-2.0
"""The node agent: Pods of this node become running instances, and what happens to them becomes Pod status.

In: Pods that are bound to this node or to none. Out: instances on ports of their own; the bind (nodeName and the port,
one patch), Pod status, the Node object, logs and usage. Who: `embedded.py` builds and runs it.

Two queues share the work. `pods` starts an instance the moment its Pod is seen and lets it go when its Pod is to go;
`statuses` binds and tells, so that no write is waited for on the way to a start. An instance that becomes ready within
100 ms costs two commits: the bind and one status. It is started while its Pod is being committed (`expect`): it may be
ready before there is a Pod to say so, and is ended where there will be none.

It may die at any time. Instances go on; the next agent adopts them by their record before it starts any, ends those
whose Pods are gone, and tells at once of those that have died (`settled`).
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import structlog

from tidegate.client.cluster import Cluster
from tidegate.client.events import Recorder
from tidegate.client.informer import Informer
from tidegate.kit.backoff import Backoff
from tidegate.kit.clock import Clock
from tidegate.model import errors, names, pods
from tidegate.model.kinds import POD
from tidegate.model.logs import LogOptions
from tidegate.model.objects import Key, Object, annotations, is_deleting, key, spec, status, uid
from tidegate.node import probes
from tidegate.node.archive import Archive
from tidegate.node.capacity import Capacity
from tidegate.node.container import Attempt, Container, NodeContext
from tidegate.node.instance import Drained, Instance, grace, refusal
from tidegate.node.logs import ContainerLog
from tidegate.node.machine import Machine, NodeResources, resources
from tidegate.node.ports import PortPool
from tidegate.node.runtime import PodUsage, Runtime
from tidegate.node.runtimes.process.identity import Identities
from tidegate.node.status import STARTING, Waiting, pod_status, unscheduled_status
from tidegate.reconcile.queue import WorkQueue

NOTE_LOGS_EVERY, LOOK_AT_PORTS_EVERY, PRUNE_LOGS_EVERY = 1.0, 1.0, 60.0
"""Seconds between two calls of `note_logs`, of `look_at_ports` and of `prune_logs`."""

_AFTER_THE_REQUEST = 0.01
"""Seconds by which a status waits that has been announced: the processor is for the request that waited for it."""

_WOKEN_FOR = 5.0
"""Seconds within which the Pod of one that was woken has to say that it does not stand by any more."""

_STEADY = 600.0
"""Seconds of running after which a failure is like a first one."""

_ORPHAN_SECONDS = 600.0
"""How long a folder without a Pod may belong to one that is being made or removed."""

_AT_ONCE = 32
"""Pods worked on side by side: so many writes may share a commit."""

Announce = Callable[[Object, str | None], None]
"""(Pod, "ip:port"): it takes requests there from now on; None: nowhere."""


def to_nobody(pod: Object, address: str | None) -> None:
    """Whoever needs it reads the Pod's status."""


class Agent:
    """Runs the Pods of this node. `announce` hears that an instance is ready before its Pod says so."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        pods: Informer,
        runtime: Runtime,
        folder: Path,
        bundles: Path,
        archive: Archive,
        clock: Clock,
        recorder: Recorder,
        node: str,
        drained: Drained,
        identities: Identities,
        announce: Announce = to_nobody,
        attempt: Attempt = probes.attempt,
        has: NodeResources | None = None,
    ) -> None:
        """`node`: its name; `has`: what it has to give; by default what this host has."""
        self.node = node
        has = has or resources()
        self._cluster = cluster
        self._pods = pods
        self._clock = clock
        self._recorder = recorder
        self._drained = drained
        self._announce = announce
        self._announced: set[Key] = set()
        self._woken_early: dict[Key, float] = {}  # until when their Pods may still say that they stand by
        self._coming: dict[Key, Object] = {}  # Pods whose creation is being committed
        self.machine = Machine(cluster, clock, recorder, self.node, has, folder)
        self._capacity = Capacity(has.allocatable)
        self._means = NodeContext(
            cluster, runtime, clock, recorder, identities, PortPool(), attempt, self.node, folder, bundles, archive
        )
        self._instances: dict[Key, Instance] = {}
        self._tasks: dict[Key, asyncio.Task[None]] = {}
        self._settled = asyncio.Event()
        self._faults = Backoff(first=1.0, limit=300.0)
        self._resting: dict[Key, float] = {}  # until when those are not started that failed
        self._stopping = False
        self._work = WorkQueue("pods", self.reconcile, workers=_AT_ONCE, clock=clock)
        self._statuses = WorkQueue("pod statuses", self._report, workers=_AT_ONCE, clock=clock)
        self._log = structlog.get_logger("node").bind(node=self.node)
        pods.subscribe(self._woken)

    async def run(self) -> None:
        """Adopt what an earlier run or agent left, then run what Pods ask for, until cancelled. Instances outlive it.
        `machine.run`, `note_logs` and `prune_logs` are for others to call."""
        try:
            await self._means.archive.load()
            await self._pods.synced()
            await self._adopt()
            self._settled.set()
            for name in {key(pod) for pod in self._pods.list()} | self._instances.keys():
                self._work.wake(name)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._work.run(), name="pods")
                group.create_task(self._statuses.run(), name="pod statuses")
        finally:
            self._settled.clear()
            await self._let_go()

    async def _let_go(self) -> None:
        """Instances go on; the next run adopts them."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        for instance in self._instances.values():
            instance.let_go()
        self._tasks.clear()
        self._instances.clear()

    async def settled(self) -> None:
        """Return once every Pod that was there says whether its instance still runs."""
        await self._settled.wait()

    async def stop_all(self, grace: float = 10.0) -> None:
        """End every instance, and say so in its Pod's status. Nothing is started any more."""
        self._stopping = True
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        await asyncio.gather(*(instance.stop(grace) for instance in self._instances.values()))
        await asyncio.gather(*(self._tell(instance) for instance in self._instances.values()))
        self._instances.clear()
        await self._means.runtime.forget_others([uid(pod) for pod in self._pods.list() if self._is_ours(pod)])

    def wake(self, name: Key) -> None:
        """Let an instance that stands by go on: its Pod is about to say so, and a request waits meanwhile."""
        instance = self._instances.get(name)
        if instance is not None:
            self._woken_early[name] = self._clock.monotonic() + _WOKEN_FOR
            instance.standby.want(False)

    def expect(self, pod: Object) -> None:
        """The creation of a Pod is being committed: what it asks for is started meanwhile. `came` follows."""
        if self._settled.is_set():
            self._coming[key(pod)] = pod
            self._work.wake(key(pod))

    def came(self, pod: Object, stored: bool) -> None:
        """A Pod that was expected is stored, or will not be."""
        asyncio.get_running_loop().call_soon(self._take if stored else self._dismiss, pod)

    def _take(self, pod: Object) -> None:
        """From here on it is known as every other Pod, also if the watch has been quicker."""
        self._pods.learn(pod)
        self._coming.pop(key(pod), None)

    def _dismiss(self, pod: Object) -> None:
        """Nobody will ever ask for it: what was started goes as if its Pod were deleted."""
        name = key(pod)
        self._coming.pop(name, None)
        instance = self._instances.get(name)
        if instance is None or instance.uid != uid(pod):
            self._work.wake(name)
            return
        if name in self._announced:
            self._announced.discard(name)
            self._announce(pod, None)
        instance.leave(float(spec(pod).get("terminationGracePeriodSeconds") or 0))

    async def usage(self, name: Key) -> PodUsage | None:
        """What a Pod's processes use; None for one that has none here."""
        instance = self._instances.get(name)
        return await self._means.runtime.usage(instance.uid) if instance is not None else None

    async def logs(self, pod: Object, container: str, options: LogOptions) -> AsyncIterator[bytes]:
        """A container's log (`apiserver.resources.PodLogs`), also of a Pod that is gone."""
        archived = self._means.archive.place(uid(pod))
        running = self._container(pod, container) if archived is None else None
        log = running.log if running is not None else ContainerLog(archived or self._means.folder / uid(pod), container)
        asked = running.log_asked(options) if running is not None else options
        live = (lambda: running.runs) if running is not None else (lambda: False)
        if asked is None:
            raise errors.BadRequest(_why_no_log(pod, container, running, options))
        try:
            async for chunk in log.read(asked, clock=self._clock, live=live):
                yield chunk
        except FileNotFoundError as error:
            raise errors.BadRequest(_why_no_log(pod, container, running, options)) from error

    def _container(self, pod: Object, name: str) -> Container | None:
        instance = self._instances.get(key(pod))
        if instance is None or instance.uid != uid(pod):
            return None
        return next((container for container in instance.containers if container.name == name), None)

    # Pods

    def _woken(self, old: Object | None, new: Object | None) -> None:
        if not self._settled.is_set():
            return  # all that there is has a turn after the adoption
        name = key(new or old or {})
        self._work.wake(name)
        instance = self._instances.get(name)
        if old is None and instance is not None:  # it was started before there was a Pod to tell that
            self._wake_status(instance)

    def _pod(self, name: Key) -> Object | None:
        """The Pod, also one that is being committed."""
        return self._pods.get(name) or self._coming.get(name)

    def _is_ours(self, pod: Object) -> bool:
        return spec(pod).get("nodeName") in (None, "", self.node)

    async def _adopt(self) -> None:
        """Begin with what runs already: what is ready stays ready, what died is told before anyone asks."""
        ours = [pod for pod in self._pods.list() if self._is_ours(pod)]
        await self._means.runtime.forget_others([uid(pod) for pod in ours])
        for pod in ours:
            if spec(pod).get("nodeName") and not _is_over(pod) and not refusal(pod):
                self._capacity.hold(pod)
                self._begin(pod)
        await asyncio.gather(*(self._tell_adopted(instance) for instance in self._instances.values()))
        self._log.info("adopted", instances=len(self._instances))

    async def _tell_adopted(self, instance: Instance) -> None:
        """Write what its Pod does not say yet. Where that cannot be written, as on a full disk, no gateway believes a
        Pod that still says it is ready, and the status is tried again: nothing else has to wait for it."""
        try:
            await self._tell(instance)
        except errors.ApiError as error:
            self._log.warning("status cannot be written yet", pod=str(instance.key), error=str(error))
            pod = self._pods.get(instance.key)
            if pod is not None and not instance.ready:
                self._announce(pod, None)
            self._statuses.wake(instance.key)

    async def reconcile(self, name: Key) -> None:
        """Bring one Pod's instance in line with the Pod."""
        if self._stopping:
            return
        pod, instance = self._pod(name), self._instances.get(name)
        if instance is not None:
            if name in self._tasks and self._tasks[name].done():
                fault = self._finish(name)
                if fault is not None and pod is not None:
                    await self._rest(instance, pod, fault)
            else:
                self._follow(instance, pod)
                return
        if pod is None or is_deleting(pod) or not self._is_ours(pod):
            self._capacity.forget(name)
            self._faults.forget(name)
            self._resting.pop(name, None)
        if pod is None or not self._is_ours(pod):
            return
        if is_deleting(pod):
            await self._remove(pod)
        elif not _is_over(pod):
            await self._start(pod)

    def _follow(self, instance: Instance, pod: Object | None) -> None:
        """Tell what runs what its Pod asks for now."""
        if pod is None or uid(pod) != instance.uid:
            instance.leave(0)
        elif is_deleting(pod):
            instance.leave(grace(pod, self._clock.wall()))
        else:
            instance.standby.want(self._stands_by(pod))

    def _stands_by(self, pod: Object) -> bool:
        name, now = key(pod), self._clock.monotonic()
        if not pods.is_standby(pod):
            self._woken_early.pop(name, None)
            return False
        early = self._woken_early.get(name, now) - now
        if early > 0:
            self._work.wake_after(name, early)
        return early <= 0

    async def _start(self, pod: Object) -> None:
        rest = self._resting.get(key(pod), 0.0) - self._clock.monotonic()
        if rest > 0:
            self._work.wake_after(key(pod), rest)
            return
        if problem := refusal(pod):
            failed = {"phase": "Failed", "reason": "InvalidPod", "message": problem}
            with suppress(errors.NotFound, errors.Conflict):
                await self._write_status(pod, failed)
            return
        if spec(pod).get("nodeName"):
            self._capacity.hold(pod)
        elif lacking := self._capacity.take(pod):
            await self._tell_lacking(pod, lacking)
            return
        self._begin(pod)  # it is bound once it has been started, which is the first that is told of it

    def _begin(self, pod: Object) -> None:
        instance = Instance(pod, means=self._means, drained=self._drained, changed=self._changed)
        self._instances[instance.key] = instance
        task = self._tasks[instance.key] = asyncio.create_task(instance.run(), name=f"instance {instance.key}")
        task.add_done_callback(lambda _: self._work.wake(instance.key))

    def _changed(self, name: Key) -> None:
        """Something is to be told of an instance; whether it is ready, at once to who cannot wait for its status."""
        instance, pod = self._instances.get(name), self._pod(name)
        if instance is not None and pod is not None and instance.ready != (name in self._announced):
            self._announced ^= {name}
            self._announce(pod, instance.endpoint if instance.ready else None)
            self._wake_status(instance)
        else:
            self._statuses.wake(name)

    def _wake_status(self, instance: Instance) -> None:
        if instance.ready and self._announce is not to_nobody:
            self._statuses.wake_after(instance.key, _AFTER_THE_REQUEST)
        else:
            self._statuses.wake(instance.key)

    def _finish(self, name: Key) -> BaseException | None:
        """What ended it, if nobody expected that."""
        self._capacity.give_back(self._instances.pop(name).uid)
        for waiting in self._capacity.fitting():
            self._work.wake(waiting)
        self._announced.discard(name)
        self._woken_early.pop(name, None)
        task = self._tasks.pop(name)
        return None if task.cancelled() else task.exception()

    async def _rest(self, instance: Instance, pod: Object, fault: BaseException) -> None:
        """Something went wrong that nobody expected: say so, and try again later. What still runs is adopted then."""
        name = instance.key
        if instance.age >= _STEADY:
            self._faults.forget(name)
        delay = self._faults.next(name)
        self._resting[name] = self._clock.monotonic() + delay
        self._log.error("instance failed", pod=str(name), retry_in=delay, exc_info=fault)
        self._announce(pod, None)
        waiting = Waiting("RunContainerError", f"back-off {delay:.0f}s after {_cause(fault)}")
        self._recorder.warning(pod, "Failed", f"Error: {waiting.reason}: {waiting.message}")
        views = [replace(view, state=waiting, ready=False, started=False) for view in instance.views]
        with suppress(errors.NotFound, errors.Conflict):
            await self._write_status(pod, pod_status(pod, views, self._clock.wall()))

    async def _remove(self, pod: Object) -> None:
        """Nothing of it runs any more: let the API forget it."""
        await self._means.forget(pod)
        with suppress(errors.NotFound, errors.Conflict):
            await self._cluster.delete(POD, key(pod), uid=uid(pod), grace_seconds=0)

    # Status

    async def _report(self, name: Key) -> None:
        """Bind a Pod if it is not bound as it runs, and tell its status if it is another."""
        instance, pod = self._instances.get(name), self._pods.get(name)
        if instance is None or pod is None or self._stopping:
            return
        with suppress(errors.NotFound, errors.Conflict):  # the Pod went; its informer will say so
            wait = 0.0 if pods.is_ready(pod) else instance.hold(self._clock.monotonic())
            if wait > 0:
                self._statuses.wake_after(name, wait)
                return
            await self._bind(instance, pod)
            await self._tell(instance)

    async def _bind(self, instance: Instance, pod: Object) -> None:
        port = str(instance.port)
        if spec(pod).get("nodeName") and annotations(pod).get(names.PORT) == port:
            return
        patch = {
            "metadata": {"uid": instance.uid, "annotations": {names.PORT: port}},
            "spec": {"nodeName": self.node},
        }
        bound = await self._cluster.patch(POD, instance.key, patch)
        self._pods.learn(bound)

    async def _tell(self, instance: Instance) -> None:
        pod = self._pods.get(instance.key)
        if pod is None or uid(pod) != instance.uid or is_deleting(pod):
            return
        was_ready, was_frozen = pods.is_ready(pod), pods.is_frozen(pod)
        wanted = pod_status(pod, instance.views, self._clock.wall(), instance.standby.rest)
        if not _differs(wanted, status(pod)):
            return
        with suppress(errors.NotFound, errors.Conflict):
            told = await self._write_status(pod, wanted)
            if pods.is_frozen(told) and not was_frozen:
                self._recorder.normal(pod, "Frozen", "Frozen until it is needed")
            elif was_frozen and instance.ready:
                self._recorder.normal(pod, "Woken", "Woken from its standby")
            elif pods.is_ready(told) and not was_ready:
                self._recorder.normal(pod, "Started", f"Started on port {instance.port}")

    async def _tell_lacking(self, pod: Object, lacking: str) -> None:
        """The Pod waits for room, and says so."""
        wanted = unscheduled_status(pod, lacking, self._clock.wall())
        if not _differs(wanted, status(pod)):
            return
        self._recorder.warning(pod, "FailedScheduling", lacking)
        with suppress(errors.NotFound, errors.Conflict):
            await self._write_status(pod, wanted)

    async def _write_status(self, pod: Object, wanted: Object) -> Object:
        patch = {"metadata": {"uid": uid(pod)}, "status": wanted}
        told = await self._cluster.patch(POD, key(pod), patch, subresource="status")
        self._pods.learn(told)
        return told

    async def note_logs(self) -> None:
        """Note how far every log is, and keep it within its bound. One that fails stops no other; what failed last is
        raised at the end."""
        now, failure = self._clock.wall(), None
        for instance in list(self._instances.values()):
            for container in instance.containers:
                try:
                    container.log.note(now)
                except OSError as error:
                    failure = error
        if failure is not None:
            raise failure

    async def look_at_ports(self) -> None:
        """Find instances that run and do not listen any more."""
        for instance in list(self._instances.values()):
            for container in instance.containers:
                container.look_at_port()

    async def forget_orphans(self) -> None:
        """Remove what a failure has left of Pods that are gone: their folders, and what runs for them."""
        await self._settled.wait()
        known = {uid(pod) for pod in (*self._pods.list(), *self._coming.values())}
        known |= {instance.uid for instance in self._instances.values()}
        oldest = self._clock.wall().timestamp() - _ORPHAN_SECONDS
        for folder in await asyncio.to_thread(_folders, self._means.folder, oldest):
            if folder not in known:
                self._log.warning("folder of a Pod that is gone is removed", pod=folder)
                await self._means.runtime.forget(folder)

    async def prune_logs(self) -> None:
        """Keep the logs of ended instances within their bounds."""
        await self._means.archive.prune(self._clock.wall())


def _why_no_log(pod: Object, name: str, container: Container | None, options: LogOptions) -> str:
    """Rule: pkg/kubelet/kubelet_pods.go, validateContainerLogStatus."""
    of_pod = f'container "{name}" in pod "{pod["metadata"]["name"]}"'
    if options.previous:
        return f"previous terminated {of_pod} not found"
    state = container.view.state if container is not None else STARTING
    return f"{of_pod} is waiting to start: {state.reason if isinstance(state, Waiting) else STARTING.reason}"


def _cause(fault: BaseException) -> str:
    """The first of what went wrong, in a line."""
    while isinstance(fault, BaseExceptionGroup):
        fault = fault.exceptions[0]
    return f"{type(fault).__name__}: {fault}"


def _folders(instances: Path, oldest: float) -> list[str]:
    """The folders of Pods in which nothing has come or gone since `oldest`."""
    return [place.name for place in instances.iterdir() if place.is_dir() and place.stat().st_mtime < oldest]


def _is_over(pod: Object) -> bool:
    return status(pod).get("phase") in ("Succeeded", "Failed")


def _differs(wanted: Object, present: Mapping[str, object]) -> bool:
    return any(present.get(field) != value for field, value in wanted.items())
