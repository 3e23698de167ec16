# SPDX-License-Identifier: Apache-2.0
"""The progress of a skopeo that runs, read from the files that it writes and from the kernel's counters.

In: a work folder, a process. Out: bytes. Called by: `transfer.py`. skopeo itself reports progress only to a terminal.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil


class Downloads:
    """The layers of one run. skopeo downloads each into a file, and removes it once the layer is unpacked."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._sizes: dict[Path, int] = {}

    def size(self) -> int:
        """Bytes of all layers so far."""
        for path, size in _files(self._folder):
            self._sizes[path] = max(size, self._sizes.get(path, 0))
        return sum(self._sizes.values())


def _files(folder: Path) -> Iterator[tuple[Path, int]]:
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                path = Path(place, name)
                yield path, path.stat().st_size


def written(pid: int) -> int:
    """Bytes that skopeo and the programs that unpack for it have written."""
    total = 0
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        for each in (process, *process.children(recursive=True)):
            with suppress(psutil.Error):
                total += each.io_counters().write_chars
    return total
