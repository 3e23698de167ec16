# SPDX-License-Identifier: Apache-2.0
"""Removes folders that another user has filled, possibly very deep and still being written.

In: a folder. Out: nothing of it, as far as that can be done; what cannot be removed stays. No link is followed. Folders
are moved to the top before they are emptied, so that neither the stack nor the number of open files grows with the
depth, as they do in `shutil.rmtree`. Called by: the node agent, for the files of apps; the collection of bundles and
builds.
"""

import os
import secrets
from contextlib import suppress
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove(folder: Path) -> None:
    with suppress(OSError):
        top = os.open(folder, _FOLDER)
        try:
            _empty(top)
        finally:
            os.close(top)
        folder.rmdir()


def _empty(top: int) -> None:
    waiting = _without_files(top)
    while waiting:
        name = waiting.pop()
        with suppress(OSError):
            place = os.open(name, _FOLDER, dir_fd=top)
            try:
                for found in _without_files(place):
                    with suppress(OSError):
                        waiting.append(_moved(found, place, top))
            finally:
                os.close(place)
            os.rmdir(name, dir_fd=top)


def _without_files(place: int) -> list[str]:
    """Remove all in a folder but the folders that are not empty; returns their names."""
    folders = []
    with os.scandir(place) as entries:
        for entry in list(entries):
            try:
                (os.rmdir if entry.is_dir(follow_symlinks=False) else os.unlink)(entry.name, dir_fd=place)
            except OSError:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.name)
    return folders


def _moved(name: str, place: int, top: int) -> str:
    fresh = secrets.token_hex(16)
    os.rename(name, fresh, src_dir_fd=place, dst_dir_fd=top)
    return fresh
