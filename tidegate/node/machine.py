# SPDX-License-Identifier: Apache-2.0
"""The v1 Node that stands for this host.

In: what the host says of itself. Out: one Node object, written at the start and every five minutes, as the kubelet does
without news. Who: the agent.
"""

import functools
import importlib.metadata
import os
import platform
import socket
from pathlib import Path

import psutil

from tidegate.client.cluster import Cluster
from tidegate.kit.clock import Clock
from tidegate.model import errors
from tidegate.model.conditions import timestamp
from tidegate.model.kinds import NODE
from tidegate.model.objects import Key, Object

_HEARTBEAT = 300.0  # seconds
_MOST_PODS = 1000


def hostname() -> str:
    """This host's name, as a Node's: lower case."""
    return socket.gethostname().lower() or "localhost"


class Machine:
    """Keeps the Node object true."""

    def __init__(self, cluster: Cluster, clock: Clock, name: str) -> None:
        self._cluster = cluster
        self._clock = clock
        self._name = name
        self._ready_since = ""

    async def run(self) -> None:
        """Write it now and then until cancelled."""
        while True:
            await self._tell()
            await self._clock.sleep(_HEARTBEAT)

    async def _tell(self) -> None:
        now = timestamp(self._clock.wall())
        self._ready_since = self._ready_since or now
        node = desired_node(self._name, now, self._ready_since)
        key = Key("", self._name)
        try:
            await self._cluster.patch(NODE, key, {"status": node["status"]}, subresource="status")
        except errors.NotFound:
            await self._cluster.create(NODE, node)


def desired_node(name: str, now: str, ready_since: str) -> Object:
    """The Node of this host at a moment."""
    cpus = len(os.sched_getaffinity(0))
    capacity = {"cpu": str(cpus), "memory": f"{psutil.virtual_memory().total // 1024}Ki", "pods": str(_MOST_PODS)}
    labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": _architecture()}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "spec": {},
        "status": {
            "capacity": capacity,
            "allocatable": capacity,
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}, {"type": "Hostname", "address": name}],
            "conditions": [
                {
                    "type": "Ready",
                    "status": "True",
                    "reason": "KubeletReady",
                    "message": "tidegate is ready to run processes",
                    "lastHeartbeatTime": now,
                    "lastTransitionTime": ready_since,
                }
            ],
            "nodeInfo": {
                "architecture": _architecture(),
                "bootID": Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
                "containerRuntimeVersion": f"process://{_version()}",
                "kernelVersion": platform.release(),
                "kubeletVersion": f"v{_version()}",
                "kubeProxyVersion": "",
                "machineID": "",
                "operatingSystem": "linux",
                "osImage": _distribution(),
                "systemUUID": "",
            },
        },
    }


@functools.cache
def _version() -> str:
    return importlib.metadata.version("tidegate")


def _architecture() -> str:
    machine = platform.machine()
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    except OSError:
        return "Linux"
