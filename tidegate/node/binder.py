# SPDX-License-Identifier: Apache-2.0
"""Binds Pods to this node, as far as it has room.

In: Pods without a node, and the capacity of this node. Out: a Pod's `spec.nodeName` with its port (one patch), or the
condition `PodScheduled` False and an Event. Called by: `agent.py`, `pod_statuses.py`.

A Pod gets its room first, is started, and is bound once it runs, so that no start waits for a write. A scheduler of
several nodes has its place here: it would choose the node in `assign`.
"""

from collections.abc import Mapping
from contextlib import suppress

from tidegate.client.context import Context
from tidegate.model import errors, names
from tidegate.model.kinds import POD
from tidegate.model.objects import Key, Object, annotations, key, spec, uid
from tidegate.node.capacity import Capacity
from tidegate.node.status import unscheduled_status
from tidegate.node.status_writer import differs, write_status


class Binder:
    """The Pods of one node, by their room. `allocatable`: quantities by resource, as in a Node's status."""

    def __init__(self, context: Context, node: str, allocatable: Mapping[str, str]) -> None:
        self._context = context
        self.node = node
        self._capacity = Capacity(allocatable)

    def is_ours(self, pod: Object) -> bool:
        """Whether a Pod is bound to this node, or to none."""
        return spec(pod).get("nodeName") in (None, "", self.node)

    async def assign(self, pod: Object) -> bool:
        """Give a Pod room on this node. False if there is none; the Pod's status says so, and the Pod waits."""
        if spec(pod).get("nodeName"):
            self._capacity.reserve(pod)
        elif lacking := self._capacity.try_reserve(pod):
            await self._report_lacking(pod, lacking)
            return False
        return True

    def try_reserve(self, pod: Object) -> str:
        """Give a prepared Pod room on this node and return "", or return the reason why there is none; then it
        waits."""
        return self._capacity.try_reserve(pod)

    def reserve(self, pod: Object) -> None:
        """Reserve the requests of a Pod that is bound already."""
        self._capacity.reserve(pod)

    def release(self, pod_uid: str) -> list[Key]:
        """A Pod has ended: free its requests. Returns the waiting Pods that fit now."""
        self._capacity.release(pod_uid)
        return list(self._capacity.fitting())

    def forget(self, name: Key) -> None:
        """A Pod does not wait any more."""
        self._capacity.forget(name)

    async def bind(self, pod: Object, port: int) -> bool:
        """Write the node and the port of a Pod, unless it has them. Whether it had no node."""
        is_bound = bool(spec(pod).get("nodeName"))
        if is_bound and annotations(pod).get(names.PORT) == str(port):
            return False
        patch = {
            "metadata": {"uid": uid(pod), "annotations": {names.PORT: str(port)}},
            "spec": {"nodeName": self.node},
        }
        self._context.informers.pods.learn(await self._context.cluster.patch(POD, key(pod), patch))
        return not is_bound

    async def _report_lacking(self, pod: Object, lacking: str) -> None:
        desired = unscheduled_status(pod, lacking, self._context.clock.wall())
        if differs(desired, pod):
            self._context.recorder.warning(pod, "FailedScheduling", lacking)
            with suppress(errors.NotFound, errors.Conflict):
                await write_status(self._context, pod, desired)
