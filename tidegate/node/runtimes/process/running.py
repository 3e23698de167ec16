# SPDX-License-Identifier: Apache-2.0
"""One run of a container as a process that leads a session of its own.

In: the process, started or adopted by `runtime.py`. Out: a `RunningContainer` for `container.py`.
"""

import asyncio
import os
import signal
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog

from tidegate.kit import trees
from tidegate.kit.processes import Process
from tidegate.node.runtime import ContainerExit, Stdio
from tidegate.node.runtimes.dialing import dialed
from tidegate.node.runtimes.process import execution
from tidegate.node.runtimes.process.execution import CANNOT_EXECUTE
from tidegate.node.runtimes.process.launcher import Child
from tidegate.node.runtimes.process.listening import ProcessListening
from tidegate.node.runtimes.process.processes import InstanceProcesses, group_name
from tidegate.node.runtimes.process.record import Run

LOST = ContainerExit(137, 0, "ContainerStatusUnknown")
"""The end of a process that another control plane started: the kernel reports an exit code only to the parent."""

_TICKS = os.sysconf("SC_CLK_TCK")
_log = structlog.get_logger("node")


@dataclass(frozen=True, slots=True)
class Leader:
    """The process that leads a container. `child`: None if another control plane started it; `run`: None if that one
    did not record it; `scratch`: the folder to remove when it has ended."""

    owner: str
    process: Process
    child: Child | None
    run: Run | None
    scratch: Path | None


class RunningProcess:
    """A process and its session. `released` is called when no process of it is left."""

    def __init__(self, processes: InstanceProcesses, leader: Leader, released: Callable[[str], None]) -> None:
        self.process = leader.process
        self.id = f"process://{leader.process.pid}.{leader.process.started}"
        self.started_at = datetime.now(UTC) if leader.child is not None else _started_at(leader.process)
        self.listening = ProcessListening(leader.process, lambda: processes.members(leader.owner))
        self._processes = processes
        self._leader = leader
        self._released = released
        self._exit: ContainerExit | None = None
        self._is_cold = False  # frozen, or about to be
        self._frozen: set[Process] = set()

    async def ended(self) -> ContainerExit:
        await self.process.ended()
        if self._exit is None:
            self._exit = self._exit_status()
        return self._exit

    def _exit_status(self) -> ContainerExit:
        """Read while its control group exists, which knows whether it was killed for its memory."""
        if self._leader.child is None:
            return LOST
        code = self._leader.child.wait()
        if code >= 0:
            return ContainerExit(code, 0, "Completed" if code == 0 else "Error")
        starved = -code == signal.SIGKILL and self._processes.was_oom_killed(self._leader.owner)
        return ContainerExit(128 - code, -code, "OOMKilled" if starved else "Error")

    async def freeze(self) -> None:
        """Repeat until no new process is found: a process that is not frozen yet may start others."""
        processes, owner = self._processes, self._leader.owner
        self._is_cold = True
        while found := {member.process for member in await processes.members(owner)} - self._frozen:
            if not self._is_cold:
                return
            self._frozen |= found
            await asyncio.to_thread(processes.freezer.take, group_name(owner), found)
            if self._is_cold:
                processes.freezer.freeze(group_name(owner), found)

    def thaw(self) -> None:
        if self._is_cold:
            self._is_cold = False
            self._processes.freezer.thaw(group_name(self._leader.owner), self._frozen)
            self._frozen = set()

    async def reclaim(self) -> None:
        reclaim, processes = self._processes.freezer.reclaim, list(self._frozen)
        await asyncio.to_thread(reclaim, group_name(self._leader.owner), processes, lambda: self._is_cold)

    def terminate(self) -> None:
        self.thaw()
        self._signal_group(signal.SIGTERM)
        self._signal_group(signal.SIGCONT)  # a stopped process does not handle SIGTERM

    async def kill(self) -> None:
        self.thaw()
        self._signal_group(signal.SIGKILL)
        await self.ended()
        await self._processes.kill([self._leader.owner])
        self._released(self._leader.owner)
        if self._leader.scratch is not None:
            await asyncio.to_thread(trees.remove, self._leader.scratch)

    def _signal_group(self, number: signal.Signals) -> None:
        """Nothing once its leader has been waited for, by us or by init: another group may have the number then."""
        child = self._leader.child
        if (child is not None and not child.has_been_waited_for) or self.process.alive:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)

    async def execute(self, program: Sequence[str], stdio: Stdio | None = None) -> int:
        """Start the program as the container's own process was started."""
        owner, run = self._leader.owner, self._leader.run
        if run is None:
            _log.warning("no program is run in an instance that an older Tidegate started", instance=owner)
            return CANNOT_EXECUTE
        return await execution.execute(self._processes, owner, run, program, stdio)

    async def connect(self, port: int) -> socket.socket:
        return await dialed(self.process, self.listening, port)


def _started_at(process: Process) -> datetime:
    return datetime.fromtimestamp(_boot_time() + process.started / _TICKS, UTC)


def _boot_time() -> float:
    """The start of the kernel's ticks, in wall seconds."""
    for line in Path("/proc/stat").read_text().splitlines():
        if line.startswith("btime "):
            return float(line.split()[1])
    raise RuntimeError("/proc/stat has no time of boot")
