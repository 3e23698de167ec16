# SPDX-License-Identifier: Apache-2.0
"""One run of an OCI container.

In: its folder and record, of this control plane or an earlier one. Out: a `RunningContainer` for `container.py`.
"""

import asyncio
import os
import signal
import socket
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime

from tidegate.kit.files import open_regular
from tidegate.kit.processes import Process
from tidegate.node.runtime import ContainerExit, Stdio
from tidegate.node.runtimes.dialing import dialed
from tidegate.node.runtimes.namespace_listening import NamespaceListening
from tidegate.node.runtimes.oci.execution import execute
from tidegate.node.runtimes.oci.folders import ContainerFolder, ContainerRecord
from tidegate.node.runtimes.oci.host import OciHost
from tidegate.node.runtimes.process import reclaim

LOST = ContainerExit(137, 0, "ContainerStatusUnknown")
"""The end of a container whose conmon was killed, so that nobody knows its exit code."""

_KILLED = 137
_EXIT_SECONDS = 5.0  # between the end of a container and the note of its exit code
_MOST_MESSAGE = 4096  # bytes, as in Kubernetes


class OciContainer:
    """A container that was started; it may have ended since."""

    def __init__(self, host: OciHost, folder: ContainerFolder, record: ContainerRecord, runtime: str) -> None:
        self.id = f"{runtime}://{folder.id}"
        self.started_at = datetime.fromtimestamp(record.started, UTC)
        self.listening = NamespaceListening(record.init)
        self.folder = folder
        self._host = host
        self._record = record
        self._exit: ContainerExit | None = None
        self._excess = ""  # why it is being ended
        self._is_cold = False

    async def ended(self) -> ContainerExit:
        await self._record.init.ended()
        if self._exit is None:
            with suppress(TimeoutError):
                async with asyncio.timeout(_EXIT_SECONDS):
                    await self._record.monitor.ended()
        if self._exit is None:  # nobody else has read it meanwhile
            self._exit = self._read_exit()
        return self._exit

    def _read_exit(self) -> ContainerExit:
        """Read while its folder and its control group exist."""
        try:
            code = int((self.folder.exits / self.folder.id).read_text())
        except (OSError, ValueError):
            return LOST
        if self._excess:
            return ContainerExit(code, 0, "Evicted", self._excess)
        if code and self._host.groups.was_oom_killed(self.folder.id):
            return ContainerExit(code, 0, "OOMKilled", self._message())
        return ContainerExit(code, 0, "Error" if code else "Completed", self._message())

    def _message(self) -> str:
        """What it wrote to its `terminationMessagePath`."""
        try:
            with os.fdopen(open_regular(self.folder.messages), "rb") as file:
                return file.read(_MOST_MESSAGE).decode(errors="replace").strip()
        except OSError:
            return ""

    async def freeze(self) -> None:
        self._is_cold = True
        self._host.groups.freeze(self.folder.id)

    def thaw(self) -> None:
        if self._is_cold:
            self._is_cold = False
            self._host.groups.thaw(self.folder.id)

    async def reclaim(self) -> None:
        if reclaim.has_swap():
            await asyncio.to_thread(self._reclaim)

    def _reclaim(self) -> None:
        groups = self._host.groups
        if not reclaim.from_group(groups.memory_group(self.folder.id), lambda: self._is_cold):
            for pid in groups.processes(self.folder.id):
                if (process := Process.of(pid)) is not None:
                    reclaim.from_process(process, lambda: self._is_cold)

    def terminate(self) -> None:
        """The image says by which signal."""
        self._host.groups.thaw(self.folder.id)
        self._is_cold = False
        self._record.init.signal(self._record.stop_signal)

    def evict(self, why: str) -> None:
        """End it because it uses more than it may."""
        self._excess = why
        self._record.init.signal(signal.SIGKILL)

    async def kill(self) -> None:
        """Its first process takes all others of its PID namespace with it."""
        self._host.groups.thaw(self.folder.id)
        self._record.init.signal(signal.SIGKILL)
        await self.ended()
        self._host.remove_later(self.folder)

    async def execute(self, program: Sequence[str], stdio: Stdio | None = None) -> int:
        return await execute(self._host, self.folder, program, stdio)

    async def connect(self, port: int) -> socket.socket:
        return await dialed(self._record.init, self.listening, port)
