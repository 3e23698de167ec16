# SPDX-License-Identifier: Apache-2.0
"""The volumes that are folders or files: emptyDir and hostPath.

In: the source in a Pod's spec. Out: the path of this host that containers get; `VolumeProblem` in the kubelet's words,
or `OSError`. Called by: `volumes.py`, in a thread.
"""

import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

from tidegate.kit import mounts
from tidegate.model.objects import Object, spec
from tidegate.model.text import quantities
from tidegate.node.volumes.payload import VolumeProblem

OPEN_TO_ALL = 0o777
OPEN_TO_GROUP = stat.S_ISGID | OPEN_TO_ALL
"""The modes of folders that containers write to: without and with a group that new files get."""

_NEW_FOLDER, _NEW_FILE = 0o755, 0o644

_TYPES: Mapping[str, tuple[str, Callable[[int], bool]]] = {
    "Directory": ("a directory", stat.S_ISDIR),
    "File": ("a file", stat.S_ISREG),
    "Socket": ("a socket", stat.S_ISSOCK),
    "CharDevice": ("a character device", stat.S_ISCHR),
    "BlockDevice": ("a block device", stat.S_ISBLK),
}
_CREATED = {"DirectoryOrCreate": "Directory", "FileOrCreate": "File"}


def fs_group(pod: Object) -> int | None:
    """The group that gets the volumes of a Pod."""
    group = (spec(pod).get("securityContext") or {}).get("fsGroup")
    return None if group is None else int(group)


def empty_dir(place: Path, source: Object, pod: Object) -> Path:
    """A folder that every user of the Pod's containers may write to. It keeps its files until it is removed."""
    place.mkdir(parents=True, exist_ok=True)
    if source.get("medium") == "Memory" and not place.is_mount():
        if os.geteuid() != 0:
            raise VolumeProblem("emptyDir medium Memory needs root")
        size = _memory_size(source, pod)
        mounts.mount("tmpfs", place, f"mode=0777{f',size={size}' if size else ''}", mounts.NO_SUID | mounts.NO_DEVICES)
        mounts.make_private(place)
    group = fs_group(pod)
    give(place, OPEN_TO_ALL if group is None else OPEN_TO_GROUP, group)
    return place


def size_limit(source: Object) -> int:
    """The limit of an emptyDir in bytes; 0: none."""
    return int(quantities.parse(source.get("sizeLimit") or "0").amount)


def give(place: Path, mode: int, group: int | None) -> None:
    if group is not None:
        os.chown(place, -1, group)
    place.chmod(mode)


def _memory_size(source: Object, pod: Object) -> int:
    """The size of a volume in memory: its limit, and never more than the memory that the Pod's containers may use, if
    each has a limit. 0: the kernel's default, half of the memory. Rule: calculateEmptyDirMemorySize of
    pkg/volume/emptydir."""
    limits = [((each.get("resources") or {}).get("limits") or {}).get("memory") for each in spec(pod)["containers"]]
    of_pod = sum(int(quantities.parse(limit).amount) for limit in limits) if all(limits) else 0
    return min(filter(None, (size_limit(source), of_pod)), default=0)


def host_path(source: Object, home: Path) -> Path:
    """A path of this host, which must have the type that the Pod asks for. `home`: Tidegate's state folder, which no
    container may see."""
    path = Path(str(source.get("path") or ""))
    if not path.is_absolute() or ".." in path.parts:
        raise VolumeProblem(f"hostPath {str(path)!r} must be an absolute path without '..'")
    found, wanted = Path(os.path.realpath(path)), str(source.get("type") or "")
    state = Path(os.path.realpath(home))
    if found == state or state in found.parents or found in state.parents:
        raise VolumeProblem(f"hostPath {path} is not allowed: it leads to the state folder of Tidegate")
    if wanted and wanted not in _TYPES and wanted not in _CREATED:
        known = ", ".join((*_TYPES, *_CREATED))
        raise VolumeProblem(f"hostPath type {wanted!r} is not supported; supported are {known}")
    if not found.exists():
        _create(found, wanted)
    if wanted:
        title, has_type = _TYPES[_CREATED.get(wanted, wanted)]
        if not found.exists() or not has_type(found.stat().st_mode):
            raise VolumeProblem(f"hostPath type check failed: {path} is not {title}")
    return found


def _create(path: Path, wanted: str) -> None:
    """Like a container runtime, also make the folder of a path without a type."""
    if wanted in ("", "DirectoryOrCreate"):
        for place in (*reversed(path.parents), path):
            if not place.exists():
                place.mkdir()
                place.chmod(_NEW_FOLDER)
    elif wanted == "FileOrCreate":
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, _NEW_FILE))
        path.chmod(_NEW_FILE)
