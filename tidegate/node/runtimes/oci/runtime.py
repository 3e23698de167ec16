# SPDX-License-Identifier: Apache-2.0
"""The runtime that runs a container as an OCI container, by runc or crun.

In: a `Launch`. Out: a container with its own root file system, namespaces and control group, which writes to its log
file itself and survives the control plane. Called through `node/runtime.py`; built by `this_host.py`.

Nothing is looked for or started before the first container is prepared.
"""

import asyncio
from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import Protocol

from tidegate.images.stored import StoredImage
from tidegate.model.objects import Object, uid
from tidegate.network.errors import NetworkUnavailable
from tidegate.network.plan import NetworkPlan
from tidegate.network.pod_network import NetworkNamespace
from tidegate.node.runtime import Launch, LaunchRejected, PodUsage
from tidegate.node.runtimes.oci import pod_sandbox, tools
from tidegate.node.runtimes.oci.capabilities import own_capabilities
from tidegate.node.runtimes.oci.created import CreatedOciContainer, running
from tidegate.node.runtimes.oci.creation import PreparedOciContainer
from tidegate.node.runtimes.oci.execution import end_sessions
from tidegate.node.runtimes.oci.failures import CREATE_ERROR
from tidegate.node.runtimes.oci.fields import check_container, check_pod
from tidegate.node.runtimes.oci.folders import ContainerFolder
from tidegate.node.runtimes.oci.host import OciHost
from tidegate.node.runtimes.oci.identity import check_non_root
from tidegate.node.runtimes.oci.pod_sandbox import PodSandbox
from tidegate.node.runtimes.oci.resources import check_resources
from tidegate.node.runtimes.oci.running import OciContainer
from tidegate.node.runtimes.oci.seccomp import default_profile
from tidegate.node.runtimes.oci.security import security
from tidegate.node.runtimes.oci.tools import Tools
from tidegate.node.runtimes.oci.trial import trial
from tidegate.node.runtimes.oci.volume_mounts import check_mounts


class Images(Protocol):
    """The images of this host."""

    async def image(self, launch: Launch) -> StoredImage:
        """Get it as the container's policy says. Raises `LaunchRejected`."""


class Network(Protocol):
    """The network of this host's Pods. `plan`: None if there is none."""

    plan: NetworkPlan | None

    async def attach(self, pod: str) -> NetworkNamespace:
        """Idempotent. Raises `NetworkUnavailable`."""

    async def detach(self, pod: str) -> None: ...

    async def detach_others(self, pods: Collection[str]) -> None: ...


class OciRuntime:
    """`logs`: one folder a Pod in it; `named`: the OCI runtime that the user chose."""

    def __init__(self, host: OciHost, images: Images, network: Network, logs: Path, named: Path | None = None) -> None:
        self.host = host
        self._images = images
        self._network = network
        self._logs = logs
        self._named = named
        self._one = asyncio.Lock()
        self._found: Tools | None = None
        self._sandboxes: dict[str, PodSandbox] = {}  # by Pod

    def has_own_address(self, pod: Object) -> bool:
        return True

    async def set_up_pod(self, pod: Object) -> str:
        check_pod(pod)
        await self._tools()
        name, plan = uid(pod), self._network.plan
        try:
            namespace = await self._network.attach(name)
            server = str(plan.gateway) if plan is not None else ""
            sandbox = await asyncio.to_thread(pod_sandbox.set_up, pod, namespace, server, self.host.folders)
        except NetworkUnavailable as error:
            raise LaunchRejected(CREATE_ERROR, str(error)) from error
        except OSError as error:
            raise LaunchRejected(CREATE_ERROR, f"the files of the Pod cannot be made: {error}") from error
        self._sandboxes[name] = sandbox
        return sandbox.address

    async def prepare(self, launch: Launch) -> PreparedOciContainer:
        check_pod(launch.pod)
        check_container(launch.container)
        check_resources(launch.container)
        check_mounts(launch)
        found = await self._tools()
        profile = default_profile()
        if profile is None:
            raise LaunchRejected(
                CREATE_ERROR, f"seccomp.json is not installed: install {tools.PACKAGES['seccomp.json']}"
            )
        allowed = security(launch.pod, launch.container, profile, own_capabilities())
        image = await self._images.image(launch)
        check_non_root(launch.pod, launch.container, image.config.user)
        sandbox = self._sandboxes.get(launch.pod_uid)
        if sandbox is None:
            raise LaunchRejected(CREATE_ERROR, "the Pod is not set up")
        logs = self._logs / launch.pod_uid
        return PreparedOciContainer(self.host, found, launch, image, allowed, sandbox, logs)

    def adopt(self, pod: str, container: str) -> CreatedOciContainer | OciContainer | None:
        folders = [folder for folder in self.host.folders.of(pod) if folder.container == container]
        return next((found for found in map(self._adopted, folders) if found is not None), None)

    def _adopted(self, folder: ContainerFolder) -> CreatedOciContainer | OciContainer | None:
        """None for a container that is being removed, or was created or started only in part."""
        known = self.host.live.get(folder.id)
        if isinstance(known, CreatedOciContainer | OciContainer):
            return known
        record, tools = folder.record(), folder.tools()
        if record is None or tools is None or self.host.is_removed(folder):
            return None
        waits = tools.has_fifo and (self.host.folders.state / folder.id / "exec.fifo").exists()
        if not record.started:
            is_whole = record.init.alive and (waits or not tools.has_fifo)
            return CreatedOciContainer(self.host, tools, folder, record) if is_whole else None
        return None if waits else running(self.host, tools, folder, record)

    def port(self, pod: str) -> int:
        return 0

    async def usage(self, pod: str) -> PodUsage | None:
        return await asyncio.to_thread(self._usage, pod)

    def _usage(self, pod: str) -> PodUsage | None:
        found = [self.host.groups.usage(folder.id) for folder in self.host.folders.of(pod)]
        used = [each for each in found if each is not None]
        return (
            PodUsage(sum(each.cpu_seconds for each in used), sum(each.memory_bytes for each in used)) if used else None
        )

    async def forget(self, pod: str) -> None:
        self._sandboxes.pop(pod, None)
        folder = self.host.folders.pod(pod)
        if folder.is_dir():
            await self.host.remove_pod(pod)
            await self._network.detach(pod)

    async def forget_others(self, pods: Collection[str]) -> None:
        self._sandboxes = {pod: sandbox for pod, sandbox in self._sandboxes.items() if pod in pods}
        for pod in self.host.folders.known_pods():
            if pod not in pods:
                await self.host.remove_pod(pod)
            for folder in self.host.folders.of(pod):
                if self._adopted(folder) is None:  # left by a control plane that died at that moment
                    self.host.remove_later(folder)
                else:
                    self.host.groups.thaw(folder.id)  # a frozen process does not end; standby freezes the others again
                    await end_sessions(self.host, folder)
        await self.host.settled()
        await self._network.detach_others(pods)

    async def _tools(self) -> Tools:
        """Raises `LaunchRejected`; the next call looks again, because the user may have installed what was missing."""
        async with self._one:
            if self._found is None:
                self._found = await tools.find_tools(self._named, partial(trial, self.host))
            return self._found
