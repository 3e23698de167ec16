# SPDX-License-Identifier: Apache-2.0
"""The node agent: runs an instance for each Pod of this node.

In: Pods that are bound to this node or to none. Out: running instances; `pod_statuses.py` writes the bind and the
status. Called by: `node.py`.

An instance is started the moment its Pod is seen, and already while the Pod is being committed (`expect`): it may be
ready before the Pod is stored, and is ended if that fails. No write is waited for on the way to a start.

The agent may die at any time; instances continue. The next agent adopts them by their records before it starts any,
ends the instances of deleted Pods, and reports dead instances (`settled`).
"""

import asyncio
from contextlib import suppress

import structlog

from tidegate.kit.backoff import Backoff
from tidegate.kit.supervision import reason
from tidegate.model import errors, pods
from tidegate.model.kinds import POD
from tidegate.model.objects import Key, Object, is_deleting, key, spec, status, uid
from tidegate.node.announcements import Announcements
from tidegate.node.binder import Binder
from tidegate.node.instance import Instance, grace, rejection
from tidegate.node.node_context import NodeContext
from tidegate.node.pod_statuses import WORKERS, PodStatuses
from tidegate.node.restarts import START_WAITS
from tidegate.node.runtime import PodUsage
from tidegate.node.status_writer import write_status
from tidegate.reconcile.expectations import Expectations
from tidegate.reconcile.queue import WorkQueue


class Agent:
    """Runs the Pods of this node. `instances`: all that run here, by the key of their Pod."""

    def __init__(self, node: NodeContext, binder: Binder, announcements: Announcements) -> None:
        self.instances: dict[Key, Instance] = {}
        self._node = node
        self._pods = node.context.informers.pods
        self._cluster = node.context.cluster
        self._clock = node.clock
        self._binder = binder
        self._announcements = announcements
        self._tasks: dict[Key, asyncio.Task[None]] = {}
        self._settled = asyncio.Event()
        self._faults = Backoff(*START_WAITS)
        self._retry_at: dict[Key, float] = {}  # by Pod: the next start after a failure
        self._stopping = False
        self._queue = WorkQueue("pods", self._reconcile, workers=WORKERS, clock=node.clock)
        self._created: Expectations[Key, Object] = Expectations(node.clock)
        self._woken: Expectations[Key, bool] = Expectations(
            node.clock, pods.WOKEN_LABEL_SECONDS, self._queue.wake_after
        )
        self._statuses = PodStatuses(node.context, self.instances, binder, announcements, self._pod)
        self._log = structlog.get_logger("node").bind(node=node.name)
        self._pods.subscribe(self._on_pod)

    async def run(self) -> None:
        """Adopt the instances of an earlier run or agent, then run what Pods ask for, until cancelled. Instances
        outlive it."""
        try:
            await self._node.archive.load()
            await self._pods.synced()
            await self._adopt()
            self._settled.set()
            for name in {key(pod) for pod in self._pods.list()} | self.instances.keys():
                self._queue.wake(name)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._queue.run(), name="pods")
                group.create_task(self._statuses.run(), name="pod statuses")
        finally:
            self._settled.clear()
            await self._release_all()

    async def settled(self) -> None:
        """Return once every Pod that existed at the start says whether its instance still runs."""
        await self._settled.wait()

    async def known(self) -> set[str]:
        """The uids of all Pods that exist or run here."""
        await self._settled.wait()
        return {uid(pod) for pod in self._pods.list()} | {instance.uid for instance in self.instances.values()}

    async def stop_all(self, grace: float = 10.0) -> None:
        """End every instance and write that into its Pod's status. No instance is started any more."""
        self._stopping = True
        self._statuses.pause()
        await self._cancel_tasks()
        instances = list(self.instances.values())
        for step in (lambda instance: instance.stop(grace), self._statuses.write):
            for failure in await asyncio.gather(*map(step, instances), return_exceptions=True):
                if isinstance(failure, Exception):  # the other instances must end all the same
                    self._log.error("an instance was not stopped in order", error=reason(failure), exc_info=failure)
        self.instances.clear()
        ours = {uid(pod) for pod in self._pods.list() if self._binder.is_ours(pod)}
        await self._node.forget_others(ours)
        await self._node.volumes.close()

    async def usage(self, name: Key) -> PodUsage | None:
        """The resources of a Pod's processes; None if it has no instance here."""
        instance = self.instances.get(name)
        return await self._node.runtime.usage(instance.uid) if instance is not None else None

    # Signals that cannot wait for a write

    def wake(self, name: Key) -> None:
        """Resume an instance on standby, or start a prepared one: a request waits, and the Pod will lose its label in a
        moment."""
        instance, pod = self.instances.get(name), self._pod(name)
        if instance is not None and instance.is_prepared and pod is not None:
            self._start_prepared(instance, pod)
        elif instance is not None:
            self._woken.expect(name, True)
            instance.standby.want(False)

    def expect(self, pod: Object) -> None:
        """Start the instance of a Pod whose creation is being committed. `confirm` follows."""
        if self._settled.is_set():
            self._created.expect(key(pod), pod)
            self._queue.wake(key(pod))

    def confirm(self, pod: Object, stored: bool) -> None:
        """An expected Pod is stored, or will never be."""
        asyncio.get_running_loop().call_soon(self._take if stored else self._dismiss, pod)

    def _take(self, pod: Object) -> None:
        """From now on the Pod is known like every other, also if the watch was quicker."""
        self._pods.learn(pod)
        self._created.confirm(key(pod))

    def _dismiss(self, pod: Object) -> None:
        """The Pod will never exist: its instance ends as if the Pod were deleted."""
        name = key(pod)
        self._created.confirm(name)
        instance = self.instances.get(name)
        if instance is None or instance.uid != uid(pod):
            self._queue.wake(name)
            return
        self._announcements.retract(pod)
        instance.leave(float(spec(pod).get("terminationGracePeriodSeconds") or 0))

    # Pods

    def _on_pod(self, old: Object | None, new: Object | None) -> None:
        if not self._settled.is_set():
            return  # every Pod has a turn after the adoption
        name = key(new or old or {})
        self._queue.wake(name)
        instance = self.instances.get(name)
        if old is None and instance is not None:  # it was started before its Pod was stored
            self._statuses.wake_soon(instance)

    def _pod(self, name: Key) -> Object | None:
        """The Pod, also while its creation is being committed."""
        return self._pods.get(name) or self._created.get(name)

    async def _adopt(self) -> None:
        """Begin with the instances that run already: ready ones stay ready, and dead ones are reported first."""
        ours = [pod for pod in self._pods.list() if self._binder.is_ours(pod)]
        await self._node.forget_others({uid(pod) for pod in ours})
        for pod in ours:
            if spec(pod).get("nodeName") and not _is_over(pod) and not rejection(pod):
                instance = self._begin(pod)
                if not instance.is_prepared:
                    self._binder.reserve(pod)
        await asyncio.gather(*map(self._statuses.write_adopted, self.instances.values()))
        self._log.info("adopted", instances=len(self.instances))

    async def _reconcile(self, name: Key) -> None:
        """Bring one Pod's instance in line with the Pod."""
        if self._stopping:
            return
        pod, instance = self._pod(name), self.instances.get(name)
        if instance is not None:
            if name in self._tasks and self._tasks[name].done():
                fault = self._finish(name)
                if fault is not None and pod is not None:
                    await self._retry_later(instance, pod, fault)
            else:
                self._follow(instance, pod)
                return
        if pod is None or is_deleting(pod) or not self._binder.is_ours(pod):
            self._binder.forget(name)
            self._faults.forget(name)
            self._retry_at.pop(name, None)
        if pod is None or not self._binder.is_ours(pod):
            return
        if is_deleting(pod):
            await self._remove(pod)
        elif not _is_over(pod):
            await self._start(pod)

    def _follow(self, instance: Instance, pod: Object | None) -> None:
        """Pass the Pod's present state on to its running instance."""
        if pod is not None and _is_over(pod):
            self._release_room(instance)
        if pod is None or uid(pod) != instance.uid:
            instance.leave(0)
        elif is_deleting(pod):
            instance.leave(grace(pod, self._clock.wall()))
        else:
            instance.standby.want(self._wants_standby(pod))
            if instance.is_prepared and not pods.is_prepared(pod):
                self._start_prepared(instance, pod)

    def _start_prepared(self, instance: Instance, pod: Object) -> None:
        """Start created containers if this node has room; else they start once it has."""
        if lacking := self._binder.try_reserve(pod):
            instance.refuse(lacking)
        else:
            instance.start()

    def _wants_standby(self, pod: Object) -> bool:
        if not pods.is_standby(pod):
            self._woken.confirm(key(pod))
            return False
        return self._woken.get(key(pod)) is None

    async def _start(self, pod: Object) -> None:
        wait = self._retry_at.get(key(pod), 0.0) - self._clock.monotonic()
        if wait > 0:
            self._queue.wake_after(key(pod), wait)
        elif problem := rejection(pod):
            failed = {"phase": "Failed", "reason": "InvalidPod", "message": problem}
            with suppress(errors.NotFound, errors.Conflict):
                await write_status(self._node.context, pod, failed)
        elif pods.is_prepared(pod) or await self._binder.assign(pod):
            self._begin(pod)

    def _begin(self, pod: Object) -> Instance:
        instance = Instance(pod, self._node, self._statuses.changed)
        self.instances[instance.key] = instance
        task = self._tasks[instance.key] = asyncio.create_task(instance.run(), name=f"instance {instance.key}")
        task.add_done_callback(lambda _: self._queue.wake(instance.key))
        return instance

    def _finish(self, name: Key) -> BaseException | None:
        """Forget an instance whose task is done; the failure that ended it, if there was one."""
        self._release_room(self.instances.pop(name))
        self._announcements.forget(name)
        self._woken.forget(name)
        task = self._tasks.pop(name)
        return None if task.cancelled() else task.exception()

    def _release_room(self, instance: Instance) -> None:
        """No container of it runs any more: others may have its room."""
        for waiting in self._binder.release(instance.uid):
            self._queue.wake(waiting)

    async def _retry_later(self, instance: Instance, pod: Object, fault: BaseException) -> None:
        """After a failure that Tidegate does not handle: report it and start again later. Processes that still run are
        adopted then."""
        name = instance.key
        if instance.age >= pods.STEADY:
            self._faults.forget(name)
        delay = self._faults.next(name)
        self._retry_at[name] = self._clock.monotonic() + delay
        self._log.error("instance failed", pod=str(name), retry_in=delay, exc_info=fault)
        self._announcements.withdraw(pod)
        await self._statuses.write_failure(instance, pod, f"back-off {delay:.0f}s after {_cause(fault)}")

    async def _remove(self, pod: Object) -> None:
        """Delete a Pod that has no process any more."""
        await self._node.forget(pod)
        with suppress(errors.NotFound, errors.Conflict):
            await self._cluster.delete(POD, key(pod), uid=uid(pod), grace_seconds=0)

    async def _release_all(self) -> None:
        """Leave all instances to the next run, which adopts them."""
        await self._cancel_tasks()
        for instance in self.instances.values():
            instance.release()
        self._tasks.clear()
        self.instances.clear()

    async def _cancel_tasks(self) -> None:
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)


def _cause(fault: BaseException) -> str:
    """The first failure, in one line."""
    while isinstance(fault, BaseExceptionGroup):
        fault = fault.exceptions[0]
    return f"{type(fault).__name__}: {fault}"


def _is_over(pod: Object) -> bool:
    return status(pod).get("phase") in ("Succeeded", "Failed")
