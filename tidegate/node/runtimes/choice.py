# SPDX-License-Identifier: Apache-2.0
"""The runtime of a node with several runtimes: each Pod has the one that `pods.runtime_of` names.

In: the runtimes of this host. Out: a `Runtime`. Called by: `this_host.py`, which builds it.

A Pod that is known only by its uid is asked of every runtime: only the one that runs it knows it.
"""

from collections.abc import Collection

from tidegate.model import pods
from tidegate.model.objects import Object
from tidegate.node.runtime import CreatedContainer, Launch, PodUsage, PreparedContainer, RunningContainer, Runtime


class RuntimeChoice:
    """Processes of this host, and OCI containers."""

    def __init__(self, process: Runtime, oci: Runtime) -> None:
        self._runtimes: dict[pods.RuntimeName, Runtime] = {"process": process, "oci": oci}

    def has_own_address(self, pod: Object) -> bool:
        return self._of(pod).has_own_address(pod)

    async def set_up_pod(self, pod: Object) -> str:
        return await self._of(pod).set_up_pod(pod)

    async def prepare(self, launch: Launch) -> PreparedContainer:
        return await self._of(launch.pod).prepare(launch)

    def adopt(self, pod: str, container: str) -> CreatedContainer | RunningContainer | None:
        found = (runtime.adopt(pod, container) for runtime in self._runtimes.values())
        return next((each for each in found if each is not None), None)

    def port(self, pod: str) -> int:
        return next(filter(None, (runtime.port(pod) for runtime in self._runtimes.values())), 0)

    async def usage(self, pod: str) -> PodUsage | None:
        for runtime in self._runtimes.values():
            if (used := await runtime.usage(pod)) is not None:
                return used
        return None

    async def forget(self, pod: str) -> None:
        for runtime in self._runtimes.values():
            await runtime.forget(pod)

    async def forget_others(self, pods: Collection[str]) -> None:
        for runtime in self._runtimes.values():
            await runtime.forget_others(pods)

    def _of(self, pod: Object) -> Runtime:
        return self._runtimes[pods.runtime_of(pod)]
