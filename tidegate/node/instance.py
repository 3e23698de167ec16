# SPDX-License-Identifier: Apache-2.0
"""One Pod on this node: its containers, its port, its standby and its end.

In: a Pod. Out: running containers until `leave` is called; then it is drained and stopped, and its files are removed.
The containers of a prepared Pod are created, and started by `start`.
Called by: `agent.py`, which has one for each Pod; `pod_statuses.py` reads the views for the Pod's status.
"""

import asyncio
import math
from collections.abc import Callable
from datetime import datetime, timedelta

from tidegate.model import names, pods
from tidegate.model.conditions import condition
from tidegate.model.objects import Key, Object, annotations, key, spec, status, uid
from tidegate.model.text import syntax
from tidegate.node.node_context import NodeContext
from tidegate.node.pod_containers import PodContainers
from tidegate.node.pod_setup import PodSetup
from tidegate.node.port_lease import PortLease
from tidegate.node.standby import Standby
from tidegate.node.status import ContainerView, PodView, PreparedState, StandbyState, Waiting
from tidegate.node.timing import first, within

_LEAST_GRACE = 2.0  # seconds for the app itself, however long draining took; as in the kubelet
_STATUS_DELAY = 0.1  # seconds
_CREATING = "the containers are being created"


class Instance:
    """The containers of one Pod. `changed` is called with its key after each change that the Pod's status shows."""

    def __init__(self, pod: Object, node: NodeContext, changed: Callable[[Key], None]) -> None:
        self.key = key(pod)
        self.uid = uid(pod)
        self._revision = pods.revision_key(pod)
        self._pod = pod
        self._node = node
        self._lease = _lease(pod, node)
        self.setup = PodSetup(pod, node, self._lease, self._report)
        self._began = node.clock.monotonic()
        self._leaving = asyncio.Event()
        self._deadline = math.inf  # the end of its grace, once it leaves; -inf: at once
        self._sooner = asyncio.Event()  # the deadline was moved nearer
        self._changed = changed
        self._gate = asyncio.Event()  # open once its containers may start
        self._was_prepared = pods.is_prepared(pod) or condition(pod, names.PREPARED_STATE)["status"] != "Unknown"
        self._lacking = ""
        self.containers = PodContainers(
            pod, node, self.setup, self._gate, withdrawn=self._wait_drained, changed=self._container_changed
        )
        if not _is_to_wait(pod) or any(container.is_running for container in self.containers.all):
            self._gate.set()
        self.standby = Standby(pod, self.containers.in_use, drained=self._wait_drained, changed=self._report)

    def _container_changed(self) -> None:
        self.standby.update()
        self._report()

    def _report(self) -> None:
        self._changed(self.key)

    @property
    def port(self) -> int:
        return self._lease.port

    @property
    def address(self) -> str:
        return self._lease.address

    @property
    def endpoint(self) -> str:
        return self._lease.endpoint

    @property
    def has_own_address(self) -> bool:
        return not self._lease.is_shared

    @property
    def age(self) -> float:
        """Seconds since it began."""
        return self._node.clock.monotonic() - self._began

    @property
    def view(self) -> PodView:
        """The instance, as its Pod's status shows it."""
        return PodView(
            containers=[container.view for container in self.containers.main],
            inits=self.containers.init_views,
            address=self.address,
            initialized=self.containers.initialized,
            standby=self.standby.state,
            lacking=self._lacking,
            preparation=self._preparation() if self._was_prepared else None,
        )

    def status_delay(self, now: float) -> float:
        """Seconds that its status may wait: it is likely to be ready soon, and each write costs a commit."""
        is_urgent = self._lacking or self.setup.problem
        if self.ready or is_urgent or any(_is_urgent(container.view) for container in self.containers.all):
            return 0.0
        return max(0.0, self._began + _STATUS_DELAY - now)

    @property
    def ready(self) -> bool:
        """Whether it takes requests. An instance on standby, or about to be, takes none."""
        return self.standby.state is StandbyState.NONE and all(each.view.ready for each in self.containers.in_use)

    # Prepared

    @property
    def is_prepared(self) -> bool:
        """Whether its containers are created, or about to be, and may not start. It has no room reserved."""
        return not self._gate.is_set()

    def start(self) -> None:
        """Let its containers start: this node has reserved room for them."""
        self._gate.set()
        self._lacking = ""
        self._report()

    def refuse(self, lacking: str) -> None:
        """Its containers are to start, and this node has no room for them yet."""
        if lacking != self._lacking:
            self._lacking = lacking
            self._node.context.recorder.warning(self._pod, "FailedScheduling", lacking)
            self._report()

    def _preparation(self) -> PreparedState:
        if not self.is_prepared:
            return PreparedState()
        if self.containers.are_created:
            return PreparedState(created=True)
        return PreparedState(problem=self.setup.problem or self.containers.obstacle or _CREATING)

    def leave(self, grace: float) -> None:
        """Drain and stop it within `grace` seconds; 0 kills it. After several calls the earliest end counts, also while
        it is being stopped."""
        deadline = self._node.clock.monotonic() + grace if grace > 0 else -math.inf
        if deadline < self._deadline:
            self._deadline = deadline
            self._sooner.set()
            self._leaving.set()

    async def run(self) -> None:
        """Run its containers. After `leave`, return once none of its processes and files is left."""
        async with asyncio.TaskGroup() as group:
            await self.standby.begin(group)
            running = group.create_task(self._run(), name=f"{self.key} containers")
            await self._leaving.wait()
            self.standby.end()
            await self._drain()
            running.cancel()
        self._sooner.clear()
        killing = asyncio.create_task(self._kill_sooner(), name=f"{self.key} kill")
        try:
            await self.stop(max(_LEAST_GRACE, self._left()) if self._deadline > -math.inf else 0.0)
        finally:
            killing.cancel()
            await asyncio.gather(killing, return_exceptions=True)
        await self._node.forget(self._pod)

    async def _run(self) -> None:
        """Set the Pod up, then run its containers until cancelled."""
        await self.setup.run()
        await self.containers.run()

    async def stop(self, grace: float) -> None:
        """End every container without draining. Not to be called while `run` runs."""
        await self.containers.stop(grace)
        self._lease.release()

    def release(self) -> None:
        """Leave the processes and the port to the agent that adopts them. Not to be called while `run` runs."""
        self.containers.release()
        self._lease.release()

    async def _drain(self) -> None:
        """Wait until no gateway has a request here, at most until the end of the grace."""
        if self._revision is not None and any(each.is_running for each in self.containers.all):
            await first(self._wait_deadline(), self._wait_drained())

    def _left(self) -> float:
        return self._deadline - self._node.clock.monotonic()

    async def _wait_deadline(self) -> None:
        """Return at the deadline, which may move nearer meanwhile."""
        nearer = True
        while nearer:
            self._sooner.clear()
            nearer = await within(self._node.clock, max(self._left(), 0.0), self._sooner.wait())

    async def _wait_drained(self) -> None:
        if self._revision is not None:
            await self._node.drained(self._revision, self.endpoint)

    async def _kill_sooner(self) -> None:
        """Kill an instance that is being stopped, if its grace becomes shorter."""
        await self._sooner.wait()
        await self._wait_deadline()
        await self._node.forget(self._pod)


def grace(pod: Object, now: datetime) -> float:
    """Seconds that a Pod still has after its deletion has begun; 0 if its grace is 0. Every agent computes the same:
    the deletionTimestamp is the end of the grace, cut to whole seconds. After that end it has the least grace, because
    the app may not have got SIGTERM yet."""
    seconds = float(pod["metadata"].get("deletionGracePeriodSeconds") or 0)
    end = datetime.fromisoformat(pod["metadata"]["deletionTimestamp"]) + timedelta(seconds=1)
    return max(_LEAST_GRACE, min(seconds, (end - now).total_seconds())) if seconds > 0 else 0.0


def rejection(pod: Object) -> str:
    """Why a Pod cannot be run at all: the names of its containers become names of files. "" if it can."""
    of_pod = spec(pod)
    found = [each.get("name") for each in (*(of_pod.get("initContainers") or ()), *(of_pod.get("containers") or ()))]
    bad = next((name for name in found if not isinstance(name, str) or syntax.dns_1123_label(name)), None)
    if bad is not None or not of_pod.get("containers") or len(set(found)) != len(found):
        return f"its containers need different names of lower-case letters, digits and dashes; got {found}"
    return ""


def _lease(pod: Object, node: NodeContext) -> PortLease:
    """The address and port of an instance. That an earlier agent started: the app may listen on another port than it
    was given."""
    if node.runtime.has_own_address(pod):
        return PortLease(None, pods.serving_port(spec(pod)), status(pod).get("podIP") or "")
    given = node.runtime.port(uid(pod))
    bound = annotations(pod).get(names.PORT, "")
    return PortLease(node.ports, int(bound) if given and bound.isdecimal() else given)


def _is_to_wait(pod: Object) -> bool:
    """Whether a Pod waits for its start: it is prepared, or was woken and this node had no room for it."""
    return pods.is_prepared(pod) or (bool(spec(pod).get("nodeName")) and pods.unschedulable(pod) is not None)


def _is_urgent(view: ContainerView) -> bool:
    """Whether the status of a container must not wait."""
    return view.last is not None or view.final or (isinstance(view.state, Waiting) and bool(view.state.message))
