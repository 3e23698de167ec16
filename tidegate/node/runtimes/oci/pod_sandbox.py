# SPDX-License-Identifier: Apache-2.0
"""What the containers of a Pod share: its network namespace, IPC, /dev/shm, host name and name servers.

In: a Pod. Out: a `PodSandbox`, made or found again. It is on this host until the Pod is removed: files, and for a Pod
of several containers two mounts. Called by: `runtime.py`.
"""

import ctypes
import os
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tidegate.kit import mounts
from tidegate.model.objects import Object, spec, uid
from tidegate.network.pod_network import NetworkNamespace
from tidegate.node.runtimes.oci import pod_files
from tidegate.node.runtimes.oci.folders import Folders
from tidegate.node.runtimes.oci.mounts import SHM_SIZE, PodFiles

_NEW_IPC = 0x08000000  # CLONE_NEWIPC
_OWN_IPC = Path("/proc/thread-self/ns/ipc")
_RESOLVER = Path("/etc/resolv.conf")
_MOST_BYTES = 64 * 1024
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class PodSandbox:
    """`ipc`: None for a Pod of one container, which has an IPC namespace of its own."""

    address: str
    network: Path
    hostname: str
    files: PodFiles
    ipc: Path | None


def set_up(pod: Object, network: NetworkNamespace, server: str, folders: Folders) -> PodSandbox:
    """Idempotent. `server`: the address of the name server. Raises `OSError`."""
    folder = folders.pod(uid(pod)) / "pod"
    folder.mkdir(parents=True, exist_ok=True)
    host = _RESOLVER.read_bytes()[:_MOST_BYTES].decode(errors="replace") if _RESOLVER.exists() else ""
    texts = {
        "hosts": pod_files.hosts(pod, network.address),
        "hostname": f"{pod_files.hostname(pod)}\n",
        "resolv.conf": pod_files.resolver(pod, server, host),
    }
    is_used = next(folders.of(uid(pod)), None) is not None
    for name, text in texts.items():
        if not is_used:  # e.g. after a restart of this host, which may give the Pod another address
            (folder / name).unlink(missing_ok=True)
        _write(folder / name, text)
    shares = len([*spec(pod)["containers"], *(spec(pod).get("initContainers") or ())]) > 1
    if shares:
        _share_memory(folder)
    files = PodFiles(folder / "hosts", folder / "hostname", folder / "resolv.conf", folder / "shm" if shares else None)
    name = pod_files.full_name(pod) if spec(pod).get("setHostnameAsFQDN") else pod_files.hostname(pod)
    return PodSandbox(network.address, network.path, name, files, folder / "ipc" if shares else None)


def _write(path: Path, text: str) -> None:
    """Keep a file that exists: containers have it open, and may have changed it."""
    with suppress(FileExistsError):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        with os.fdopen(handle, "w") as file:
            os.fchmod(handle, 0o644)  # the umask is ours; every user of the container reads the file
            file.write(text)


def _share_memory(folder: Path) -> None:
    shm, ipc = folder / "shm", folder / "ipc"
    shm.mkdir(exist_ok=True)
    if not os.path.ismount(shm):
        mounts.mount("tmpfs", shm, f"mode=1777,size={SHM_SIZE}", mounts.NO_SUID | mounts.NO_DEVICES | mounts.NO_EXEC)
    if not os.path.ismount(ipc):
        ipc.touch()
        _keep_new_ipc(ipc)


def _keep_new_ipc(place: Path) -> None:
    """A new IPC namespace, kept by a mount of its file. The thread that entered it ends with it."""
    failures: list[OSError] = []

    def enter() -> None:
        if _libc.unshare(_NEW_IPC):
            failures.append(OSError(ctypes.get_errno(), "unshare", str(place)))
            return
        try:
            mounts.bind(_OWN_IPC, place)
        except OSError as error:
            failures.append(error)

    thread = threading.Thread(target=enter, name="ipc of a Pod")
    thread.start()
    thread.join()
    if failures:
        raise failures[0]
