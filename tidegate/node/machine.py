# SPDX-License-Identifier: Apache-2.0
"""The v1 Node of this host.

In: the resources of the host, within the limits of the control group that Tidegate runs in. Out: one Node object,
written at the start, every five minutes (as the kubelet does without changes), when the disk becomes short of room or
has room again, and when the images in the store change. Called by: `node.py`.

Allocatable is the capacity less a reserve for Tidegate and for the other programs of the host.
"""

import os
import platform
import re
import socket
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import psutil

import tidegate
from tidegate.client.context import Context
from tidegate.images.errors import ImageError
from tidegate.images.store import ImageStore
from tidegate.images.stored import StoredImage
from tidegate.kit import disk
from tidegate.kit.files import write_whole
from tidegate.model import errors
from tidegate.model.conditions import timestamp
from tidegate.model.kinds import NODE
from tidegate.model.objects import Key, Object
from tidegate.model.text import syntax
from tidegate.node.own_limits import own_limits

_HEARTBEAT = 300.0  # seconds
_LOOK_AT_DISK = 10.0  # seconds
_MOST_PODS = 1000
_MOST_IMAGES, _MOST_NAMES = 50, 5
_RESERVED_CPU = 100  # thousandths of a core
_RESERVED_MEMORY = 512 * 1024  # Ki; a tenth of the memory if that is less


class NodeResources(NamedTuple):
    """Quantities by resource, as in a Node's status."""

    capacity: Mapping[str, str]
    allocatable: Mapping[str, str]


def node_name(folder: Path) -> str:
    """The Node's name: the host's name, in lower case, when the folder was first used. It stays when the host is
    renamed, because Pods are bound to it. A name that no Node may have is replaced by one like it."""
    file = folder / "node"
    known = file.read_text(errors="replace").strip() if file.exists() else ""
    if not syntax.dns_1123_subdomain(known):
        return known
    name = re.sub(r"[^a-z0-9.-]+", "-", socket.gethostname().lower()).strip("-.")
    if syntax.dns_1123_subdomain(name):
        name = "localhost"
    write_whole(file, name.encode(), durable=True)
    return name


class Pressure(NamedTuple):
    """The state of the disk: whether it is short of room, and since when."""

    short: bool
    message: str
    since: str


class Machine:
    """Keeps the Node object up to date. `folder`: on the disk whose room counts."""

    def __init__(self, context: Context, name: str, resources: NodeResources, folder: Path, images: ImageStore) -> None:
        self._cluster = context.cluster
        self._clock = context.clock
        self._recorder = context.recorder
        self._name = name
        self._resources = resources
        self._folder = folder
        self._images = images
        self._ready_since = ""
        self._listed: list[Object] = []
        self._pressure: Pressure | None = None

    async def run(self) -> None:
        """Write the Node periodically and when the disk changes, until cancelled."""
        while True:
            await self._write()
            for _ in range(int(_HEARTBEAT / _LOOK_AT_DISK)):
                await self._clock.sleep(_LOOK_AT_DISK)
                if self._pressure is None or disk.space(self._folder).is_short != self._pressure.short:
                    break
                if self._images_now() != self._listed:
                    break

    def _images_now(self) -> list[Object]:
        """A damaged store has none; a pull reports the damage."""
        with suppress(ImageError):
            return node_images(self._images.all_images())
        return []

    async def _write(self) -> None:
        now = timestamp(self._clock.wall())
        self._ready_since = self._ready_since or now
        before, space = self._pressure, disk.space(self._folder)
        since = before.since if before is not None and before.short == space.is_short else now
        pressure = Pressure(space.is_short, f"{disk.readable(space.free)} are free in {self._folder}", since)
        node = desired_node(self._name, self._resources, now, self._ready_since, pressure)
        node["status"]["images"] = self._listed = self._images_now()
        key = Key("", self._name)
        try:
            written = await self._cluster.patch(NODE, key, {"status": node["status"]}, subresource="status")
        except errors.NotFound:
            written = await self._cluster.create(NODE, node)
        self._pressure = pressure
        if pressure.short and (before is None or not before.short):
            self._recorder.warning(written, "NodeHasDiskPressure", f"The disk is short of room: {pressure.message}")
        elif before is not None and before.short and not pressure.short:
            self._recorder.normal(written, "NodeHasNoDiskPressure", f"The disk has room again: {pressure.message}")


def node_images(images: Iterable[StoredImage]) -> list[Object]:
    """The images of a Node's status, the largest first. Rule: pkg/kubelet/nodestatus/setters.go, Images."""
    largest = sorted(images, key=lambda image: (-image.size, image.id))[:_MOST_IMAGES]
    return [{"names": list(image.names[:_MOST_NAMES]), "sizeBytes": image.size} for image in largest]


def resources() -> NodeResources:
    """The resources of this host, within the limits of the control group that Tidegate runs in."""
    bounds = own_limits()
    cpu = 1000 * len(os.sched_getaffinity(0))
    if bounds.cpu is not None:
        cpu = min(cpu, int(bounds.cpu * 1000))
    memory = min(psutil.virtual_memory().total, bounds.memory or sys.maxsize) // 1024
    reserved = min(_RESERVED_MEMORY, memory // 10)
    return NodeResources(_quantities(cpu, memory), _quantities(max(cpu - _RESERVED_CPU, 0), memory - reserved))


def _quantities(cpu: int, memory: int) -> dict[str, str]:
    cores, rest = divmod(cpu, 1000)
    return {"cpu": f"{cpu}m" if rest else str(cores), "memory": f"{memory}Ki", "pods": str(_MOST_PODS)}


def desired_node(name: str, resources: NodeResources, now: str, ready_since: str, pressure: Pressure) -> Object:
    """The Node of this host at a moment."""
    labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": _architecture()}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "spec": {},
        "status": {
            "capacity": dict(resources.capacity),
            "allocatable": dict(resources.allocatable),
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}, {"type": "Hostname", "address": name}],
            "conditions": [
                {
                    "type": "Ready",
                    "status": "True",
                    "reason": "KubeletReady",
                    "message": "tidegate is ready to run processes",
                    "lastHeartbeatTime": now,
                    "lastTransitionTime": ready_since,
                },
                {
                    "type": "DiskPressure",
                    "status": str(pressure.short),
                    "reason": "KubeletHasDiskPressure" if pressure.short else "KubeletHasNoDiskPressure",
                    "message": pressure.message,
                    "lastHeartbeatTime": now,
                    "lastTransitionTime": pressure.since,
                },
            ],
            "nodeInfo": {
                "architecture": _architecture(),
                "bootID": Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
                "containerRuntimeVersion": f"process://{tidegate.__version__}",
                "kernelVersion": platform.release(),
                "kubeletVersion": f"v{tidegate.__version__}",
                "kubeProxyVersion": "",
                "machineID": "",
                "operatingSystem": "linux",
                "osImage": _distribution(),
                "systemUUID": "",
            },
        },
    }


def _architecture() -> str:
    machine = platform.machine()
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    except OSError:
        return "Linux"
