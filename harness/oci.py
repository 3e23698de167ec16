# SPDX-License-Identifier: Apache-2.0
"""An OCI runtime of a test: real containers of one small image, without a registry, a store or a control plane.

In: a folder. Out: an `OciWorld` with a `OciRuntime`, whose Pods have network namespaces of their own and nothing in
them but loopback. Used by: tests/node/oci, bench/containers.
"""

import ctypes
import itertools
import os
import subprocess
import threading
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from harness import images
from tidegate.images.stored import ImageConfig, StoredImage
from tidegate.kit import mounts
from tidegate.network.plan import NetworkPlan
from tidegate.network.pod_network import NetworkNamespace
from tidegate.node.logs import ContainerLog
from tidegate.node.runtime import Launch
from tidegate.node.runtimes.oci.control_groups import ControlGroups
from tidegate.node.runtimes.oci.created import CreatedOciContainer
from tidegate.node.runtimes.oci.folders import Folders
from tidegate.node.runtimes.oci.host import OciHost
from tidegate.node.runtimes.oci.runtime import OciRuntime
from tidegate.node.runtimes.process.launcher import LAUNCHER

_NEW_NET = 0x40000000
_numbers = itertools.count(1)
_libc = ctypes.CDLL(None, use_errno=True)


class LoopbackNetwork:
    """Network namespaces without a way out."""

    plan: NetworkPlan | None = NetworkPlan(IPv4Network("127.0.0.0/24"))

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def attach(self, pod: str) -> NetworkNamespace:
        self._folder.mkdir(exist_ok=True)
        place = self._folder / pod
        if not place.exists():
            place.touch()
            thread = threading.Thread(target=self._keep, args=(place,))
            thread.start()
            thread.join()
        return NetworkNamespace(place, "127.0.0.1")

    def _keep(self, place: Path) -> None:
        assert _libc.unshare(_NEW_NET) == 0
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        mounts.bind(Path("/proc/thread-self/ns/net"), place)

    async def detach(self, pod: str) -> None:
        with suppress(OSError):
            mounts.unmount(self._folder / pod)
            (self._folder / pod).unlink()

    async def detach_others(self, pods: Collection[str]) -> None:
        for place in self._folder.iterdir() if self._folder.is_dir() else ():
            if place.name not in pods:
                await self.detach(place.name)


@dataclass
class OneImage:
    """Every container has this image."""

    found: StoredImage

    async def image(self, launch: Launch) -> StoredImage:
        return self.found


@dataclass
class OciWorld:
    """`image`: replaced by tests that need another configuration."""

    folder: Path
    images: OneImage
    runtime: OciRuntime = field(init=False)

    def __post_init__(self) -> None:
        self.runtime = self.another()

    def another(self) -> OciRuntime:
        """The runtime of the next control plane."""
        host = OciHost(Folders(self.folder / "oci"), ControlGroups())
        network = LoopbackNetwork(self.folder / "networks")
        return OciRuntime(host, self.images, network, self.folder / "instances")

    def configure(self, **fields: Any) -> None:
        """Change the image's configuration."""
        self.images.found = replace(self.images.found, config=replace(self.images.found.config, **fields))

    def log(self, pod: Mapping[str, Any], container: str = "app") -> str:
        return ContainerLog(self.folder / "instances" / pod["metadata"]["uid"], container).path.read_text()

    async def create(
        self, pod: Mapping[str, Any], variables: Mapping[str, str] | None = None, number: int = 0, **launch: Any
    ) -> CreatedOciContainer:
        """The container of a Pod with that number."""
        await self.runtime.set_up_pod(dict(pod))
        container = pod["spec"]["containers"][number]
        prepared = await self.runtime.prepare(Launch(dict(pod), container, **launch))
        return await prepared.create(variables or {})


def world(folder: Path) -> OciWorld:
    """With an image of busybox."""
    LAUNCHER.path()  # in a checkout this may build it
    (folder / "instances").mkdir()
    return OciWorld(folder, OneImage(StoredImage("0" * 64, "", frozenset(), (), ImageConfig(), (_layer(folder),))))


def _layer(folder: Path) -> Path:
    """The files of the image, as a layer in the store."""
    layer = folder / "layer"
    layer.mkdir()
    layer.chmod(0o755)
    for entry in images.busybox():
        place = layer / entry.path
        if entry.link:
            place.symlink_to(entry.link)
        elif entry.content:
            place.write_bytes(entry.content)
            place.chmod(entry.mode)
        else:
            place.mkdir()
            place.chmod(entry.mode)
            os.chown(place, entry.owner, entry.owner)
    return layer


def pod(*containers: Mapping[str, Any], **fields: Any) -> dict[str, Any]:
    """A Pod; `fields`: of its spec. A container is named app if it has no name."""
    number = next(_numbers)
    named = [{"name": "app", "image": "busybox", **container} for container in containers or ({},)]
    metadata = {"name": f"pod-{number}", "namespace": "default", "uid": f"test-{os.getpid()}-{number}"}
    return {"metadata": metadata, "spec": {"containers": named, **fields}}


def shell(script: str) -> dict[str, Sequence[str]]:
    """A container that runs a script."""
    return {"command": ["/bin/sh", "-c", script]}
