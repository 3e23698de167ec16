# SPDX-License-Identifier: Apache-2.0
"""Writes the state of instances into their Pods: the bind and the status.

In: calls of `changed` by instances. Out: an announcement at once, then the bind and the status, from a queue of its
own, so that no start waits for a write. An instance that is ready within 100 ms costs two commits: the bind and one
status. Called by: `agent.py`.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace

import structlog

from tidegate.client.context import Context
from tidegate.model import errors, pods
from tidegate.model.objects import Key, Object, is_deleting, uid
from tidegate.node.announcements import Announcements
from tidegate.node.binder import Binder
from tidegate.node.instance import Instance
from tidegate.node.status import StandbyState, Waiting, pod_status
from tidegate.node.status_writer import differs, write_status
from tidegate.reconcile.queue import WorkQueue

WORKERS = 32
"""Pods that are worked on side by side: that many writes may share a commit."""

_AFTER_THE_REQUEST = 0.01
"""Seconds by which the status of an announced instance waits: the processor is for the request that needs the
instance."""

_log = structlog.get_logger("node")


class PodStatuses:
    """The statuses of this node's Pods. `pod_of` also knows Pods whose creation is being committed."""

    def __init__(
        self,
        context: Context,
        instances: Mapping[Key, Instance],
        binder: Binder,
        announcements: Announcements,
        pod_of: Callable[[Key], Object | None],
    ) -> None:
        self._context = context
        self._pods = context.informers.pods
        self._clock = context.clock
        self._recorder = context.recorder
        self._instances = instances
        self._binder = binder
        self._announcements = announcements
        self._pod_of = pod_of
        self._paused = False
        self._queue = WorkQueue("pod statuses", self._reconcile, workers=WORKERS, clock=context.clock)
        self.run = self._queue.run
        self.wake = self._queue.wake

    def changed(self, name: Key) -> None:
        """An instance has changed. A change of its readiness is announced at once."""
        instance, pod = self._instances.get(name), self._pod_of(name)
        if instance is not None and pod is not None and self._announcements.update(pod, instance):
            self.wake_soon(instance)
        else:
            self._queue.wake(name)

    def wake_soon(self, instance: Instance) -> None:
        """Write the status of an instance, after the request that waits for it."""
        if instance.ready and self._announcements.is_heard:
            self._queue.wake_after(instance.key, _AFTER_THE_REQUEST)
        else:
            self._queue.wake(instance.key)

    def pause(self) -> None:
        """From now on write only when `write` is called: all instances are being stopped."""
        self._paused = True

    async def _reconcile(self, name: Key) -> None:
        """Bind a Pod and write its status, unless they are written already."""
        instance, pod = self._instances.get(name), self._pods.get(name)
        if self._paused or instance is None or pod is None or uid(pod) != instance.uid:
            return
        with suppress(errors.NotFound, errors.Conflict):  # the Pod was deleted; the watch will say so
            wait = 0.0 if pods.is_ready(pod) else instance.status_delay(self._clock.monotonic())
            if wait > 0:
                self._queue.wake_after(name, wait)
                return
            if await self._binder.bind(pod, instance.port) and instance.has_own_address:
                self._recorder.normal(pod, "Scheduled", f"Successfully assigned {name} to {self._binder.node}")
            await self.write(instance)

    async def write(self, instance: Instance) -> None:
        """Write the status of an instance, if it differs."""
        pod = self._pods.get(instance.key)
        if pod is None or uid(pod) != instance.uid or is_deleting(pod):
            return
        was_ready, was_frozen = pods.is_ready(pod), pods.is_frozen(pod)
        now = self._clock.wall()
        desired = pod_status(pod, instance.view, now)
        if not differs(desired, pod):
            return
        with suppress(errors.NotFound, errors.Conflict):
            written = await write_status(self._context, pod, desired)
            if pods.is_frozen(written) and not was_frozen:
                self._recorder.normal(pod, "Frozen", "Frozen until it is needed")
            elif was_frozen and instance.ready:
                self._recorder.normal(pod, "Woken", "Woken from its standby")
            elif pods.is_ready(written) and not was_ready and not instance.has_own_address:
                self._recorder.normal(pod, "Started", f"Started on port {instance.port}")

    async def write_adopted(self, instance: Instance) -> None:
        """Write the status of an adopted instance. If that fails, e.g. on a full disk, it is retried later and nothing
        else waits for it; meanwhile no gateway sends to an instance that has died, also if its Pod still says Ready."""
        try:
            await self.write(instance)
        except errors.ApiError as error:
            _log.warning("status cannot be written yet", pod=str(instance.key), error=str(error))
            pod = self._pods.get(instance.key)
            if pod is not None and not instance.ready:
                self._announcements.withdraw(pod)
            self._queue.wake(instance.key)

    async def write_failure(self, instance: Instance, pod: Object, message: str) -> None:
        """Write that an instance failed for a reason that Tidegate does not handle."""
        waiting = Waiting("RunContainerError", message)
        self._recorder.warning(pod, "Failed", f"Error: {waiting.reason}: {waiting.message}")
        view = instance.view
        stopped = [replace(each, state=waiting, ready=False, started=False) for each in view.containers]
        desired = pod_status(pod, replace(view, containers=stopped, standby=StandbyState.NONE), self._clock.wall())
        with suppress(errors.NotFound, errors.Conflict):
            await write_status(self._context, pod, desired)
