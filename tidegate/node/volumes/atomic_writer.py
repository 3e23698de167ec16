# SPDX-License-Identifier: Apache-2.0
"""Writes the files of a volume so that a reader sees all of the old files or all of the new ones.

In: a folder that only this module writes to, and a payload. Out: the folder, as the kubelet's atomic writer makes it
(k8s.io/kubernetes pkg/volume/util/atomic_writer.go):

    FOLDER/..2026_12_01_10_00_00.x1y2z3/key    the files
    FOLDER/..data -> ..2026_12_01_10_00_00.x1y2z3
    FOLDER/key -> ..data/key

One rename of `..data` replaces all files. A process that dies between two steps leaves the old files or the new ones in
place; the next write removes the rest. Called by: `volumes.py`.
"""

import os
import stat
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from tidegate.kit import trees
from tidegate.node.volumes.payload import Payload, VolumeFile

_DATA, _NEXT = "..data", "..data_tmp"
_FOLDER_MODE, _GROUP_FOLDER, _GROUP_FILE = 0o755, stat.S_ISGID | 0o550, 0o440


def is_written(folder: Path) -> bool:
    """Whether the folder has content from an earlier write."""
    return (folder / _DATA).is_dir()


def write(folder: Path, payload: Payload, now: datetime, *, group: int | None = None) -> bool:
    """Give the folder these files; whether any of them changed. `group`: may read them, whatever their modes say."""
    changed = not _has(folder / _DATA, payload, group)
    if changed:
        fresh = Path(tempfile.mkdtemp(prefix=f"..{now:%Y_%m_%d_%H_%M_%S}.", dir=folder))
        _open_to(fresh, group)
        for path, file in payload.items():
            _write_file(fresh, path, file, group)
        _point(folder / _DATA, fresh.name)
    _tidy(folder, payload)
    return changed


def _write_file(folder: Path, path: str, file: VolumeFile, group: int | None) -> None:
    place = folder
    for part in path.split("/")[:-1]:
        place /= part
        if not place.is_dir():
            place.mkdir()
            _open_to(place, group)
    target = folder / path
    target.write_bytes(file.content)
    if group is not None or file.user is not None:
        os.chown(target, -1 if file.user is None else file.user, -1 if group is None else group)
    target.chmod(_file_mode(file, group))  # after the change of owner, which clears some bits


def _file_mode(file: VolumeFile, group: int | None) -> int:
    return file.mode if group is None else file.mode | _GROUP_FILE


def _open_to(folder: Path, group: int | None) -> None:
    """All containers that have the volume may read the folder: others have no way to it."""
    if group is not None:
        os.chown(folder, -1, group)
    folder.chmod(_FOLDER_MODE if group is None else _FOLDER_MODE | _GROUP_FOLDER)


def _point(link: Path, target: str) -> None:
    """Let a symbolic link lead to another place, at once."""
    fresh = link.with_name(_NEXT)
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    fresh.replace(link)


def _has(data: Path, payload: Payload, group: int | None) -> bool:
    """Whether exactly these files are there already."""
    if not data.is_dir():
        return False
    found = dict(_files(data.resolve()))
    return found.keys() == payload.keys() and all(
        _is_same(found[path], file, _file_mode(file, group)) for path, file in payload.items()
    )


def _is_same(place: Path, file: VolumeFile, mode: int) -> bool:
    known = place.stat()
    return (
        known.st_size == len(file.content)
        and stat.S_IMODE(known.st_mode) == mode
        and (file.user is None or known.st_uid == file.user)
        and place.read_bytes() == file.content
    )


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place, name)
            yield str(path.relative_to(folder)), path


def _tidy(folder: Path, payload: Payload) -> None:
    """Link all names to the current files, and remove the links and files of earlier ones."""
    names = {path.partition("/")[0] for path in payload}
    current = (folder / _DATA).readlink().name
    for entry in list(os.scandir(folder)):
        kept = (_DATA, current) if entry.name.startswith("..") else names
        if entry.name not in kept:
            _remove(Path(entry.path))
    for name in names:
        link, target = folder / name, f"{_DATA}/{name}"
        if not link.is_symlink() or link.readlink() != Path(target):
            _remove(link)
            link.symlink_to(target)


def _remove(place: Path) -> None:
    if place.is_dir() and not place.is_symlink():
        trees.remove(place)
    else:
        place.unlink(missing_ok=True)
