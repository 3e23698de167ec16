# SPDX-License-Identifier: Apache-2.0
"""The volumes of a Pod at the places where a container wants them.

In: the `volumeMounts` of a container, and each volume as a folder or file of this host. Out: each volume and its place;
or `LaunchRejected`. Called by: `creation.py`.

An app may write links into a volume, so a `subPath` is opened inside the volume by the kernel, and the open folder is
bound to a place of ours from which the runtime binds it into the container. Rule: pkg/volume/util/subpath.
"""

import errno
import os
import posixpath
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from tidegate.kit import inside, mounts
from tidegate.model.objects import Object
from tidegate.node.expansion import expand
from tidegate.node.runtime import CONFIG_ERROR, Launch, LaunchRejected
from tidegate.node.runtimes.oci.mounts import BoundVolume

_READ_ONLY = {"": "ro", "Disabled": "ro", "IfPossible": "ro", "Enabled": "rro"}
_RESERVED = ("/proc", "/sys")


def check_mounts(launch: Launch) -> None:
    """Raises `LaunchRejected` for a field that takes no effect here."""
    if launch.container.get("volumeDevices"):
        raise _rejection("volumeDevices", "block devices are not given to containers")
    for mount in _mounts(launch):
        propagation = mount.get("mountPropagation") or "None"
        if propagation != "None":
            raise _rejection("volumeMounts.mountPropagation", f"{propagation} is not None")
        path = str(mount.get("mountPath") or "")
        if ":" in path or "\0" in path or not path:
            raise _rejection("volumeMounts.mountPath", f"{path!r} is no path")
        if any(f"{_absolute(path)}/".startswith(f"{place}/") for place in _RESERVED) or _absolute(path) == "/":
            raise _rejection("volumeMounts.mountPath", f"{path} belongs to the container runtime")
        if (mount.get("recursiveReadOnly") or "") not in _READ_ONLY:
            raise _rejection("volumeMounts.recursiveReadOnly", f"{mount['recursiveReadOnly']} is not known")


@contextmanager
def bound(launch: Launch, variables: Mapping[str, str], places: Path) -> Iterator[Sequence[BoundVolume]]:
    """The volumes, as long as the runtime needs them to make the container. `places`: a folder for the places of
    subPaths. Raises `LaunchRejected`, `OSError`."""
    with ExitStack() as stack:
        yield [
            _bound(launch, mount, variables, places / str(number), stack)
            for number, mount in enumerate(_mounts(launch))
        ]


def _bound(launch: Launch, mount: Object, variables: Mapping[str, str], place: Path, stack: ExitStack) -> BoundVolume:
    name = str(mount.get("name") or "")
    source = launch.volumes.get(name)
    if source is None:
        raise _rejection("volumeMounts.name", f"the Pod has no volume {name!r}")
    sub_path = str(mount.get("subPath") or "")
    if mount.get("subPathExpr"):
        sub_path = expand(str(mount["subPathExpr"]), variables)
    if sub_path:
        _bind_inside(source, sub_path, place)
        stack.callback(_unbind, place)
        source = place
    access = _READ_ONLY[mount.get("recursiveReadOnly") or ""] if mount.get("readOnly") else ""
    return BoundVolume(source, _absolute(str(mount["mountPath"])), access)


def _bind_inside(volume: Path, sub_path: str, place: Path) -> None:
    """Bind a folder or file of the volume, made as a folder if it is missing, with the mode of the volume's own."""
    if sub_path.startswith("/") or ".." in sub_path.split("/"):
        raise _rejection("volumeMounts.subPath", f"{sub_path!r} must be a relative path without '..'")
    root = os.open(volume, os.O_PATH | os.O_CLOEXEC)
    try:
        try:
            found = _opened(root, sub_path)
        except OSError as error:
            if error.errno in (errno.EXDEV, errno.ELOOP):
                raise _rejection("volumeMounts.subPath", f"{sub_path!r} leads out of the volume") from error
            raise LaunchRejected(CONFIG_ERROR, f"failed to prepare subPath {sub_path!r}: {error.strerror}") from error
        try:
            place.parent.mkdir(exist_ok=True)
            place.mkdir() if stat.S_ISDIR(os.fstat(found).st_mode) else place.touch()
            mounts.bind(Path(f"/proc/self/fd/{found}"), place, recursive=True)
        finally:
            os.close(found)
    finally:
        os.close(root)


def _opened(root: int, sub_path: str) -> int:
    with suppress(FileNotFoundError):
        return inside.open_inside(root, sub_path, links=inside.BENEATH)
    return inside.make_folder(root, sub_path, stat.S_IMODE(os.fstat(root).st_mode), inside.BENEATH)


def _unbind(place: Path) -> None:
    mounts.unmount(place)
    place.rmdir() if place.is_dir() else place.unlink()


def _mounts(launch: Launch) -> Sequence[Object]:
    return launch.container.get("volumeMounts") or ()


def _absolute(path: str) -> str:
    """A relative mountPath is below /, as in Kubernetes."""
    return posixpath.normpath(f"/{path}").replace("//", "/")


def _rejection(field: str, why: str) -> LaunchRejected:
    return LaunchRejected(CONFIG_ERROR, f"{field}: {why}")
