# SPDX-License-Identifier: Apache-2.0
"""What a container sees at /proc, /dev, /sys and at the paths of its volumes. Pure.

In: the folders that the container shares with its Pod, and its volumes. Out: the `mounts` of a config.json, and the
paths of /proc and /sys that are hidden or read-only. Called by: `config.py`.

| path | contents |
| --- | --- |
| /proc | of its own processes; /proc/sys read-only, kernel secrets hidden |
| /dev | null, zero, full, random, urandom, tty, ptmx, pts, fd, stdin, stdout, stderr; no console |
| /dev/shm | of its Pod, 64 MiB |
| /sys, /sys/fs/cgroup | read-only; its own control group is the root |
| /etc/hosts, /etc/hostname, /etc/resolv.conf | of its Pod |

Rule: containerd pkg/cri/opts and pkg/oci, the default mounts and paths.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

MASKED_PATHS = (
    *("/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats"),
    *("/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats"),
    *("/sys/devices/virtual/powercap", "/sys/firmware"),
)
READ_ONLY_CGROUPS = "/sys/fs/cgroup"
"""runc leaves the folder above the trees of version 1 writable."""

READ_ONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")

SHM_SIZE = "64m"
_STRICT = ("nosuid", "noexec", "nodev")


class BoundVolume(NamedTuple):
    """A folder or file of this host and its place in the container. `read_only`: "", "ro", or "rro" for all mounts
    below it too."""

    source: Path
    destination: str
    read_only: str = ""


class PodFiles(NamedTuple):
    """What the containers of a Pod share. `shm`: None if this container has its own."""

    hosts: Path
    hostname: Path
    resolver: Path
    shm: Path | None = None


def mounts(pod: PodFiles, volumes: Sequence[BoundVolume], messages: BoundVolume) -> list[Mapping[str, Any]]:
    """All mounts in order. `messages`: the file of the termination message."""
    own = [*_system(pod.shm), *_pod_files(pod, {volume.destination for volume in volumes})]
    outer_first = sorted(volumes, key=lambda volume: volume.destination.rstrip("/").count("/"))
    return [*own, *(_bound(volume, "nosuid", "nodev") for volume in outer_first), _bound(messages, "nosuid", "nodev")]


def _system(shm: Path | None) -> list[Mapping[str, Any]]:
    devices = ("nosuid", "strictatime", "mode=755", "size=65536k")
    terminals = ("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5")
    return [
        _new("proc", "/proc", *_STRICT),
        _new("tmpfs", "/dev", *devices),
        _new("devpts", "/dev/pts", *terminals),
        _new("mqueue", "/dev/mqueue", *_STRICT),
        _new("tmpfs", "/dev/shm", *_STRICT, "mode=1777", f"size={SHM_SIZE}")  # noqa: S108 - of the container
        if shm is None
        else _bound(BoundVolume(shm, "/dev/shm"), *_STRICT),  # noqa: S108 - of the container
        _new("sysfs", "/sys", *_STRICT, "ro"),
        _new("cgroup", "/sys/fs/cgroup", *_STRICT, "relatime", "ro"),
    ]


def _pod_files(pod: PodFiles, taken: set[str]) -> list[Mapping[str, Any]]:
    """Those that no volume of the container replaces."""
    files = (("/etc/hosts", pod.hosts), ("/etc/hostname", pod.hostname), ("/etc/resolv.conf", pod.resolver))
    return [
        _bound(BoundVolume(source, path), "nosuid", "nodev", "noexec") for path, source in files if path not in taken
    ]


def _new(kind: str, destination: str, *options: str) -> Mapping[str, Any]:
    return {"destination": destination, "type": kind, "source": kind, "options": list(options)}


def _bound(volume: BoundVolume, *options: str) -> Mapping[str, Any]:
    access = [volume.read_only or "rw"]
    return {
        "destination": volume.destination,
        "type": "bind",
        "source": str(volume.source),
        "options": ["rbind", "rprivate", *access, *options],
    }
