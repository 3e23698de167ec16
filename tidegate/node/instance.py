# SPDX-License-Identifier: Apache-2.0
"""One Pod on this node: its containers, its port, and how it goes.

In: a Pod, once. Out: running containers until it is told to `leave`; then drained, stopped, and nothing of it left.
Who: the agent, which reads `views` for the Pod's status.
"""

import asyncio
import math
import re
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from tidegate.model import names, pods
from tidegate.model.objects import Key, Object, annotations, key, spec, uid
from tidegate.node.container import Container, NodeContext, PortLease
from tidegate.node.standby import Standby
from tidegate.node.status import ADDRESS, ContainerView, Running, StandbyState, Waiting
from tidegate.node.timing import first, within

Drained = Callable[[Key, str], Awaitable[None]]
"""(revision, "ip:port") -> returns once no gateway has a request there."""

_LEAST_GRACE = 2.0  # seconds for the app itself, however long draining took; as the kubelet gives
_HOLD = 0.1  # seconds
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


class Instance:
    """What runs for one Pod."""

    def __init__(self, pod: Object, *, means: NodeContext, drained: Drained, changed: Callable[[Key], None]) -> None:
        self.key = key(pod)
        self.uid = uid(pod)
        self.revision = pods.revision_key(pod)
        self._pod = pod
        self._means = means
        self._drained = drained
        self._seat = PortLease(means.ports, _port(pod, means.runtime.port(self.uid)))
        self._began = means.clock.monotonic()
        self._leaving = asyncio.Event()
        self._deadline = math.inf  # by which it is to have ended, once it leaves; -inf: at once
        self._sooner = asyncio.Event()  # the deadline has come nearer
        self._changed = changed
        serving = pods.serving_container(spec(pod)).get("name")
        self.containers = [
            Container(
                pod,
                container,
                serving=container["name"] == serving,
                seat=self._seat,
                means=means,
                withdrawn=self._wait_drained,
                changed=self._container_changed,
            )
            for container in spec(pod)["containers"]
        ]
        self.standby = Standby(pod, self.containers, drained=self._wait_drained, changed=self._tell)

    def _container_changed(self) -> None:
        self.standby.settle()
        self._tell()

    def _tell(self) -> None:
        self._changed(self.key)

    @property
    def port(self) -> int:
        return self._seat.port

    @property
    def age(self) -> float:
        """Seconds since it began."""
        return self._means.clock.monotonic() - self._began

    @property
    def endpoint(self) -> str:
        return f"{ADDRESS}:{self._seat.port}"

    @property
    def views(self) -> list[ContainerView]:
        return [container.view for container in self.containers]

    def hold(self, now: float) -> float:
        """For how long its status may wait, because it is likely to be ready soon and each write costs a commit."""
        return 0.0 if any(_is_news(view) for view in self.views) or self.ready else max(0.0, self._began + _HOLD - now)

    @property
    def ready(self) -> bool:
        """Whether it takes requests: not while it stands by, or is about to."""
        return self.standby.rest is StandbyState.NONE and all(view.ready for view in self.views)

    def leave(self, grace: float) -> None:
        """Drain and stop it within `grace` seconds; 0 kills it. Of several times the earliest holds, also while it is
        being stopped."""
        deadline = self._means.clock.monotonic() + grace if grace > 0 else -math.inf
        if deadline < self._deadline:
            self._deadline = deadline
            self._sooner.set()
            self._leaving.set()

    async def run(self) -> None:
        """Run its containers; once it is to leave, return with nothing of it left."""
        async with asyncio.TaskGroup() as group:
            await self.standby.begin(group)
            tasks = [
                group.create_task(container.run(), name=f"{self.key} {container.name}") for container in self.containers
            ]
            await self._leaving.wait()
            self.standby.end()
            await self._drain()
            for task in tasks:
                task.cancel()
        self._sooner.clear()
        killing = asyncio.create_task(self._kill_sooner(), name=f"{self.key} kill")
        try:
            await self.stop(max(_LEAST_GRACE, self._left()) if self._deadline > -math.inf else 0.0)
        finally:
            killing.cancel()
            await asyncio.gather(killing, return_exceptions=True)
        await self._means.forget(self._pod)

    async def stop(self, grace: float) -> None:
        """End every container, without draining. Not to be called while `run` runs."""
        await asyncio.gather(*(container.stop(grace) for container in self.containers))
        self._seat.leave()

    def let_go(self) -> None:
        """Give the port up to the one who adopts what runs here. Not to be called while `run` runs."""
        for container in self.containers:
            container.let_go()
        self._seat.leave()

    async def _drain(self) -> None:
        """Wait until no gateway has a request here, for as long as the grace allows."""
        if self.revision is not None and any(isinstance(view.state, Running) for view in self.views):
            await first(self._over(), self._wait_drained())

    def _left(self) -> float:
        return self._deadline - self._means.clock.monotonic()

    async def _over(self) -> None:
        """Return at the deadline, which may come nearer meanwhile."""
        nearer = True
        while nearer:
            self._sooner.clear()
            nearer = await within(self._means.clock, max(self._left(), 0.0), self._sooner.wait())

    async def _wait_drained(self) -> None:
        if self.revision is not None:
            await self._drained(self.revision, self.endpoint)

    async def _kill_sooner(self) -> None:
        """What is being stopped within one grace may be given a shorter one."""
        await self._sooner.wait()
        await self._over()
        await self._means.forget(self._pod)


def grace(pod: Object, now: datetime) -> float:
    """Seconds that a Pod whose deletion has begun still has, whoever looks and however often; 0 where it asks for none.
    Its deletionTimestamp is the end of its grace, cut to whole seconds. What is late has the least: nobody may have
    told the app yet."""
    asked = float(pod["metadata"].get("deletionGracePeriodSeconds") or 0)
    end = datetime.fromisoformat(pod["metadata"]["deletionTimestamp"]) + timedelta(seconds=1)
    return max(_LEAST_GRACE, min(asked, (end - now).total_seconds())) if asked > 0 else 0.0


def _port(pod: Object, given: int) -> int:
    """Where an instance that an earlier agent started listens, which may be another port than it was given."""
    bound = annotations(pod).get(names.PORT, "")
    return int(bound) if given and bound.isdecimal() else given


def refusal(pod: Object) -> str:
    """Why a Pod cannot be run at all, which concerns names that become files; "" for nothing."""
    found = [container.get("name") for container in spec(pod).get("containers") or ()]
    bad = next((name for name in found if not isinstance(name, str) or not _NAME.fullmatch(name)), None)
    if bad is not None or not found or len(set(found)) != len(found):
        return f"its containers need names of lower-case letters, digits and dashes, each its own; got {found}"
    return ""


def _is_news(view: ContainerView) -> bool:
    """Whether a container tells something that nobody should wait for."""
    return view.last is not None or view.final or (isinstance(view.state, Waiting) and view.state != Waiting())
