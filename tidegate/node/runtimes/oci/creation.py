# SPDX-License-Identifier: Apache-2.0
"""Makes a container from an image: its root file system, its config.json, its processes.

In: a `Launch` whose image is on this host. Out: a `CreatedOciContainer`; or `LaunchRejected`, and nothing is left.
Called by: `container.py`, through `PreparedOciContainer.create`.
"""

import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tidegate.images.stored import StoredImage
from tidegate.kit.boot import boot
from tidegate.kit.files import write_whole
from tidegate.kit.threads import whole
from tidegate.node.logs import ContainerLog
from tidegate.node.runtime import Launch, LaunchRejected
from tidegate.node.runtimes.oci import config, rootfs, volume_mounts
from tidegate.node.runtimes.oci.conmon import create
from tidegate.node.runtimes.oci.created import CreatedOciContainer
from tidegate.node.runtimes.oci.failures import CREATE_ERROR, RUN_ERROR, RuntimeFailure
from tidegate.node.runtimes.oci.folders import ContainerFolder, ContainerRecord
from tidegate.node.runtimes.oci.host import OciHost
from tidegate.node.runtimes.oci.identity import ContainerUser, container_user, security_context
from tidegate.node.runtimes.oci.mounts import BoundVolume, mounts
from tidegate.node.runtimes.oci.pod_sandbox import PodSandbox
from tidegate.node.runtimes.oci.resources import oom_score, resources, storage_limit
from tidegate.node.runtimes.oci.security import Security
from tidegate.node.runtimes.oci.stop_signal import stop_signal
from tidegate.node.runtimes.oci.tools import Tools

_MESSAGES = "/dev/termination-log"
_MEMORY = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@dataclass(frozen=True, slots=True)
class PreparedOciContainer:
    """A container whose image is on this host, and whose spec is accepted. `logs`: the folder of its Pod's logs."""

    host: OciHost
    tools: Tools
    launch: Launch
    image: StoredImage
    security: Security
    sandbox: PodSandbox
    logs: Path

    @property
    def image_id(self) -> str:
        """As containerd has it: the name of the image with its digest, else its id."""
        names = [name for name in self.image.names if name.endswith(f"@{self.image.digest}")]
        return names[0] if names else self.image.digest or f"sha256:{self.image.id}"

    async def create(self, environment: Mapping[str, str]) -> CreatedOciContainer:
        folder = self.host.folders.new(self.launch.pod_uid, self.launch.name, self.tools)
        try:
            return await self._create(folder, environment)
        except RuntimeFailure as failure:
            await self.host.remove(folder)
            raise LaunchRejected(RUN_ERROR, str(failure)) from failure
        except OSError as error:
            await self.host.remove(folder)
            raise LaunchRejected(CREATE_ERROR, f"cannot create the container: {error}") from error
        except BaseException:
            self.host.remove_later(folder)
            raise

    async def _create(self, folder: ContainerFolder, variables: Mapping[str, str]) -> CreatedOciContainer:
        with ExitStack() as mounted:
            user = await whole(self._prepare, folder, variables, mounted)
            output = self._open_log(user)
            try:
                init, monitor = await create(self.tools, self.host.folders.state, folder, output)
                # The runtime gives the log to the container's user. An owner may take a lease, and then nobody else
                # can open the file.
                os.fchown(output, 0, user.group)
                os.fchmod(output, 0o620)
            except RuntimeFailure:
                os.ftruncate(output, 0)  # the runtime's own words
                raise
            finally:
                os.close(output)
        storage = storage_limit(self.launch.container)
        record = ContainerRecord(boot(), init, monitor, stop_signal(self.image.config.stop_signal), 0.0, storage)
        folder.write(record)
        return CreatedOciContainer(self.host, self.tools, folder, record)

    def _prepare(self, folder: ContainerFolder, variables: Mapping[str, str], mounted: ExitStack) -> ContainerUser:
        """In a thread: the mounts and the config.json. `mounted` gets the mounts, which its end removes."""
        launch, image = self.launch, self.image.config
        root = mounted.enter_context(rootfs.mounted(self.image.layers, folder.path))
        directory = config.directory(launch, image)
        with rootfs.opened_root(root) as opened:
            user = container_user(security_context(launch.pod, launch.container), image.user, rootfs.accounts(opened))
            rootfs.make_directory(opened, directory)
        volumes = mounted.enter_context(volume_mounts.bound(launch, variables, folder.path / "volumes"))
        folder.messages.touch()
        folder.messages.chmod(0o666)
        isolation = config.Isolation(
            self.sandbox.hostname, self.sandbox.network, self.sandbox.ipc, self.host.groups.path(folder.id)
        )
        process = config.process(
            config.command(launch, image, variables),
            config.environment(image, self.sandbox.hostname, variables),
            directory,
            user,
            self.security,
            oom_score(launch.pod, launch.container, _MEMORY),
        )
        messages = str(launch.container.get("terminationMessagePath") or _MESSAGES)
        parts = config.Parts(
            root,
            process,
            mounts(self.sandbox.files, volumes, BoundVolume(folder.messages, messages)),
            resources(launch.container, launch.limits, limits_swap=self.host.groups.limits_swap),
            self.security,
            isolation,
        )
        write_whole(folder.config, msgspec.json.encode(config.configuration(parts)))
        return user

    def _open_log(self, user: ContainerUser) -> int:
        self.logs.mkdir(exist_ok=True, mode=0o700)
        return ContainerLog(self.logs, self.launch.name).begin()
