# SPDX-License-Identifier: Apache-2.0
"""The room on a disk, and the usage of files.

In: paths. Out: bytes. Called by: the Node's condition DiskPressure, `tidegate status`, and the
collection of bundles.
"""

import os
from pathlib import Path
from typing import NamedTuple

SHORT_PART, SHORT_BYTES = 0.05, 2**30
FEW_FILES = 0.01


class Space(NamedTuple):
    """Free and total bytes and files of a file system; free ones for an unprivileged user."""

    free: int
    total: int
    free_files: int
    files: int

    @property
    def is_short(self) -> bool:
        """Less than 5 % and less than 1 GiB are free, or less than 1 % of the files that there may be."""
        few_files = bool(self.files) and self.free_files < self.files * FEW_FILES
        return few_files or self.free < min(self.total * SHORT_PART, SHORT_BYTES)


def space(path: Path) -> Space:
    """Of the file system that the path is on."""
    found = os.statvfs(path)
    return Space(found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize, found.f_favail, found.f_files)


def usage(path: Path) -> int:
    """Bytes on disk of a file, or of a folder with its content; 0 if it does not exist."""
    total = 0
    folders = [path]
    while folders:
        place = folders.pop()
        try:
            found = place.lstat()
            total += found.st_blocks * 512
            if not place.is_symlink() and place.is_dir():
                folders.extend(place.iterdir())
        except (FileNotFoundError, NotADirectoryError):
            continue
    return total


def readable(count: float) -> str:
    """Bytes as people read them: 840 MiB."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(count) < 1024:
            return f"{count:.0f} {unit}" if count >= 10 or unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"
