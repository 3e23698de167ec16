# SPDX-License-Identifier: Apache-2.0
"""Processes that outlive their parent, identified by pid and start time, so that a reused pid is never mistaken for
them. Linux: /proc and pidfds.

Called by: the node agent and the gateway, which adopt what an earlier control plane started, and `tidegate down`.
"""

import asyncio
import errno
import os
import resource
import signal
import sys
from contextlib import suppress
from pathlib import Path
from signal import SIGTERM
from typing import NamedTuple, Self

USUAL_FILES = resource.getrlimit(resource.RLIMIT_NOFILE)
"""As this process found it: programs that use select() count on a low soft limit."""


SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
"""Errors of a temporary shortage of this process or the machine, not of the operation."""

USUAL_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def raise_open_files_limit() -> None:
    """Raise the soft limit of open files to the hard one: each watched process takes a file."""
    _, most = USUAL_FILES
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def path_for_others() -> str:
    """Our PATH without the folder of our virtual environment, for programs that are not ours."""
    ours = Path(sys.prefix) / "bin" if sys.prefix != sys.base_prefix else None
    folders = [entry for entry in os.environ.get("PATH", "").split(":") if entry and Path(entry) != ours]
    return ":".join(folders) or USUAL_PATH


class Process(NamedTuple):
    """One process of this boot. `started`: clock ticks since boot, as field 22 of /proc/PID/stat has it."""

    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> Self | None:
        """The process that has this pid now; None for none, and for one that has ended and was not yet reaped."""
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            return None
        fields = stat.rpartition(")")[2].split()  # the second field, in parentheses, may hold anything
        state, started = fields[0], int(fields[19])
        return None if state in "ZX" else cls(pid, started)

    @property
    def alive(self) -> bool:
        return Process.of(self.pid) == self

    def signal(self, number: int) -> bool:
        """Send a signal; False if the process has exited. A pidfd keeps the pid from being reused between check and
        signal."""
        handle = self._open()
        if handle is None:
            return False
        try:
            signal.pidfd_send_signal(handle, number)
        except ProcessLookupError:
            return False
        finally:
            os.close(handle)
        return True

    async def ended(self) -> None:
        """Return once the process has ended."""
        handle = self._open()
        if handle is None:
            return
        loop = asyncio.get_running_loop()
        over = asyncio.Event()
        loop.add_reader(handle, over.set)
        try:
            await over.wait()
        finally:
            loop.remove_reader(handle)
            os.close(handle)

    async def end(self, grace_seconds: float, number: int = SIGTERM) -> None:
        """That signal, and SIGKILL if the process is still there after the grace; returns once it has ended.

        SIGCONT follows the signal, as in systemd: a stopped process would not handle it."""
        if not self.signal(number):
            return
        self.signal(signal.SIGCONT)
        with suppress(TimeoutError):
            async with asyncio.timeout(grace_seconds):
                await self.ended()
                return
        self.signal(signal.SIGKILL)
        await self.ended()

    def _open(self) -> int | None:
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return None
        if self.alive:
            return handle
        os.close(handle)
        return None
