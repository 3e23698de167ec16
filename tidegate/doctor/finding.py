# SPDX-License-Identifier: Apache-2.0
"""The result of one check of a host, and the view of the host that checks have.

In: nothing but files, programs and the user of this process. Out: `Finding`. Tests give a `HostView` of their own.
"""

import os
import shutil
import socket
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from tidegate.kit.processes import path_for_others

_SECONDS = 10.0
_MOST_BYTES = 2**20


class State(StrEnum):
    """`WARNING`: it works in part; `MISSING`: it does not work."""

    OK = "ok"
    WARNING = "warn"
    MISSING = "missing"


class Finding(NamedTuple):
    """`detail`: a version, an amount, or the reason."""

    state: State
    detail: str = ""


class Answer(NamedTuple):
    """The end of a program. `text`: the last line of its errors if it failed, else the first line of its output."""

    code: int
    text: str


@dataclass(frozen=True, slots=True)
class HostView:
    """This host. `home`: the state folder; `ports`: the ports that Tidegate listens on, unless it runs already."""

    home: Path
    ports: Sequence[int] = ()
    is_root: bool = os.geteuid() == 0

    def text(self, path: str) -> str:
        """The content of a file, "" if it cannot be read."""
        with suppress(OSError), Path(path).open("rb") as file:
            return file.read(_MOST_BYTES).decode(errors="replace")
        return ""

    def exists(self, path: str) -> bool:
        return Path(path).exists()

    def writable(self, path: str) -> bool:
        return os.access(path, os.W_OK)

    def number(self, path: str) -> int | None:
        """The number in a file, e.g. of /proc/sys."""
        text = self.text(path).strip()
        return int(text) if text.isdecimal() else None

    def program(self, name: str) -> str | None:
        """The path of a program. Tools for root are often in folders that another user's PATH does not have."""
        return shutil.which(name, path=f"{path_for_others()}:/usr/sbin:/sbin:/usr/local/sbin")

    def run(self, *words: str) -> Answer:
        """Run a program to its end, at most 10 s, without input."""
        try:
            done = subprocess.run(  # noqa: S603 - the words are constants of checks
                words, stdin=subprocess.DEVNULL, capture_output=True, timeout=_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return Answer(127, str(error))
        text = (done.stdout if done.returncode == 0 else done.stderr or done.stdout).decode(errors="replace")
        lines = text[:_MOST_BYTES].strip().splitlines() or [""]
        return Answer(done.returncode, lines[0] if done.returncode == 0 else lines[-1])

    def free_bytes(self, folder: Path) -> int:
        """The room on the disk of a folder, or of the first folder above it that exists."""
        while not folder.exists():
            folder = folder.parent
        return shutil.disk_usage(folder).free

    def resolves(self, name: str) -> bool:
        with suppress(OSError):
            return bool(socket.getaddrinfo(name, None))
        return False

    def listens(self, port: int) -> bool:
        """Whether a program listens on a port of loopback."""
        with socket.socket() as probe:
            probe.settimeout(1.0)
            return probe.connect_ex(("127.0.0.1", port)) == 0


def ok(detail: str = "") -> Finding:
    return Finding(State.OK, detail)


def warning(detail: str) -> Finding:
    return Finding(State.WARNING, detail)


def missing(detail: str) -> Finding:
    return Finding(State.MISSING, detail)
