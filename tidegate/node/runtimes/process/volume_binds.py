# SPDX-License-Identifier: Apache-2.0
"""The volumes of a container, as binds of its sandbox.

In: its `volumeMounts`, and each volume as a folder or file of this host. Out: `Bind`s; or `LaunchRejected` with the
field. Called by: `sandbox.py`.

| field | effect |
| --- | --- |
| `subPath` in a volume that shows objects | that file or folder |
| `subPath` in another volume | rejected: an app could put a link in its place before it is bound |
| `subPathExpr`; `mountPropagation` but None | rejected |
"""

import os
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from tidegate.model.objects import Object
from tidegate.node.effective_mounts import shows_objects
from tidegate.node.runtime import CONFIG_ERROR, Launch, LaunchRejected
from tidegate.node.runtimes.process.bubblewrap import Bind

_OF_THE_SANDBOX = ("/proc", "/sys", "/dev", "/usr", "/bin", "/sbin", "/lib", "/nix")
"""Places where nothing can be mounted: they belong to the kernel, or are read-only already."""


def volume_binds(launch: Launch) -> Iterator[Bind]:
    """Raises `LaunchRejected`."""
    for mount in launch.container.get("volumeMounts") or ():
        name = str(mount.get("name") or "")
        source = launch.volumes.get(name)
        if source is None:
            raise _rejection("name", f"there is no volume {name!r}")
        if mount.get("subPathExpr"):
            raise _rejection("subPathExpr", "a process cannot have it")
        if (mount.get("mountPropagation") or "None") != "None":
            raise _rejection("mountPropagation", f"{mount['mountPropagation']} is not None")
        if mount.get("subPath"):
            source = _part(launch.pod, name, source, str(mount["subPath"]))
        yield Bind(str(source), _target(mount), writable=not mount.get("readOnly"))


def _target(mount: Object) -> str:
    target = posixpath.normpath(re.sub("/+", "/", f"/{mount.get('mountPath') or ''}"))
    if target == "/" or target.startswith(_OF_THE_SANDBOX) or "\0" in target:
        raise _rejection("mountPath", f"{target} belongs to the sandbox")
    return target


def _part(pod: Object, name: str, volume: Path, sub_path: str) -> Path:
    """A file or folder of a volume that only Tidegate writes to, so that nothing changes after this check."""
    if not shows_objects(pod, name):
        raise _rejection("subPath", "a process can have parts of ConfigMaps, Secrets and projected volumes only")
    found = Path(os.path.realpath(volume / sub_path))
    if sub_path.startswith("/") or Path(os.path.realpath(volume)) not in found.parents or not found.exists():
        raise _rejection("subPath", f"{sub_path!r} does not exist in the volume {name!r}")
    return found


def _rejection(field: str, why: str) -> LaunchRejected:
    return LaunchRejected(CONFIG_ERROR, f"volumeMounts.{field}: {why}")
