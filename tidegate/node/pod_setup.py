# SPDX-License-Identifier: Apache-2.0
"""What the containers of one Pod share: its network with an address, and its volumes.

In: a Pod. Out: the address in its lease, and the folders of its volumes; until both are there, the reason why not.
Called by: `instance.py`, before any container of the Pod is prepared.

| what fails | event | then |
| --- | --- | --- |
| the network | FailedCreatePodSandBox | retried after `START_WAITS` |
| a volume | FailedMount | retried after `START_WAITS`, and at once when an object appears that it shows |
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from tidegate.kit.backoff import Backoff
from tidegate.model.objects import Object, uid
from tidegate.node.node_context import NodeContext
from tidegate.node.port_lease import PortLease
from tidegate.node.restarts import START_WAITS
from tidegate.node.runtime import LaunchRejected
from tidegate.node.timing import within


class PodSetup:
    """`problem`: why the Pod is not set up; "" while nothing has failed."""

    def __init__(self, pod: Object, node: NodeContext, lease: PortLease, changed: Callable[[], None]) -> None:
        self.lease = lease
        self.volumes: Mapping[str, Path] = {}
        self.problem = ""
        self._pod = pod
        self._node = node
        self._changed = changed
        self._waits = Backoff(*START_WAITS)

    async def run(self) -> None:
        """Return once the Pod is set up. Does so again for a Pod that an earlier agent set up."""
        while True:
            event, prefix = "FailedCreatePodSandBox", "Failed to create pod sandbox: "
            try:
                self.lease.address = await self._node.runtime.set_up_pod(self._pod)
                event, prefix = "FailedMount", ""
                self.volumes = await self._node.volumes.set_up(self._pod)
            except LaunchRejected as rejection:
                self._node.context.recorder.warning(self._pod, event, f"{prefix}{rejection.message}")
                self._report(rejection.message)
                await self._wait(event)
            else:
                self._report("")
                return

    async def _wait(self, event: str) -> None:
        clock, seconds = self._node.clock, self._waits.next(event)
        if event == "FailedMount":
            await within(clock, seconds, self._node.volumes.changed(uid(self._pod)))
        else:
            await clock.sleep(seconds)

    def _report(self, problem: str) -> None:
        if problem != self.problem:
            self.problem = problem
            self._changed()
