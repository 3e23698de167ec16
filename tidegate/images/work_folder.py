# SPDX-License-Identifier: Apache-2.0
"""The private folder of one run of skopeo: its secrets, its downloads and a record that others read as progress.

In: the folder of images, an image. Out: a `WorkFolder` for as long as a `with` lasts; the pulls of all processes
(`running`); and no folder of a process that was killed (`sweep`). Called by: the puller, the resolver, loading, the
collection; `tidegate image ls`; the start of Tidegate.

    images/work/ID/work.json       the image, the process that owns the folder, skopeo's process, sizes
    images/work/ID/auth.json       credentials, mode 0600 in a folder of mode 0700
    images/work/ID/registries.conf
    images/work/ID/downloads/      layers as they are downloaded; skopeo removes each when it is unpacked
"""

import os
import secrets
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tidegate.kit import files, trees
from tidegate.kit.processes import Process

_RECORD = "work.json"


class WorkRecord(msgspec.Struct):
    """work.json. `owner`, `tool`: pid and start time. `total`: bytes to download, 0 if unknown. `done`: bytes
    downloaded."""

    image: str
    owner: tuple[int, int]
    started: float
    is_pull: bool = False
    tool: tuple[int, int] | None = None
    total: int = 0
    done: int = 0


@dataclass(frozen=True, slots=True)
class PullProgress:
    """A pull that runs. `started`: seconds since the epoch. `done`, `total`: bytes; a total of 0 is unknown."""

    image: str
    started: float
    done: int
    total: int


class WorkFolder:
    """The folder of one run. Made by `opened`."""

    def __init__(self, path: Path, record: WorkRecord) -> None:
        self.path = path
        self.record = record

    @property
    def authfile(self) -> Path:
        return self.path / "auth.json"

    @property
    def registries(self) -> Path:
        return self.path / "registries.conf"

    @property
    def temporary(self) -> Path:
        return self.path / "downloads"

    def note_tool(self, pid: int) -> None:
        """Record skopeo's process, so that a later start can end it if this process is killed."""
        self.record.tool = Process.of(pid)
        self.write()

    def write(self) -> None:
        files.write_whole(self.path / _RECORD, msgspec.json.encode(self.record))


@contextmanager
def opened(images: Path, image: str, *, is_pull: bool = False) -> Iterator[WorkFolder]:
    """A folder of our own in the folder `images`; removed at the end."""
    images.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = images / "work" / secrets.token_hex(8)
    work = WorkFolder(path, WorkRecord(image, _ourselves(), time.time(), is_pull))
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.mkdir(mode=0o700)
    try:
        work.temporary.mkdir(mode=0o700)
        work.write()
        yield work
    finally:
        trees.remove(path)


def running(images: Path) -> list[PullProgress]:
    """The pulls of all processes, the oldest first."""
    pulls = []
    for path in _folders(images):
        record = _record(path)
        if record is not None and record.is_pull and Process(*record.owner).alive:
            pulls.append(PullProgress(record.image, record.started, record.done, record.total))
    return sorted(pulls, key=lambda pull: pull.started)


def sweep(images: Path) -> None:
    """Remove the folders of processes that were killed, with their secrets, and end their skopeo."""
    for path in _folders(images):
        record = _record(path)
        if record is None:  # killed before it wrote the record, or being made by another process now
            if time.time() - _modified(path) < 60:
                continue
        elif Process(*record.owner).alive:
            continue
        elif record.tool is not None and Process(*record.tool).alive:
            with suppress(ProcessLookupError):
                os.killpg(record.tool[0], signal.SIGKILL)  # it leads its group
        trees.remove(path)


def _ourselves() -> Process:
    found = Process.of(os.getpid())
    if found is None:
        raise RuntimeError("/proc does not show this process")
    return found


def _folders(images: Path) -> list[Path]:
    with suppress(FileNotFoundError, NotADirectoryError):
        return list((images / "work").iterdir())
    return []


def _record(path: Path) -> WorkRecord | None:
    with suppress(OSError, msgspec.DecodeError):
        return msgspec.json.decode((path / _RECORD).read_bytes(), type=WorkRecord)
    return None


def _modified(path: Path) -> float:
    with suppress(FileNotFoundError):
        return path.stat().st_mtime
    return time.time()
