# SPDX-License-Identifier: Apache-2.0
"""The processes of all instances of this node: the container, limits and freezer of each.

In: the process that leads each container. Out: all processes of a container, found in /proc (`sweep.py`); their limits
and freezers; their end. A container is known by its owner name, "<pod uid>/<container>". Called by: `runtime.py`,
`running.py`, `end.py`.
"""

import asyncio
import signal
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path

import structlog

from tidegate.kit import trees
from tidegate.kit.processes import Process
from tidegate.node.runtime import Limits, Stdio
from tidegate.node.runtimes.process import launcher, sweep
from tidegate.node.runtimes.process.freezer import Freezer, SignalFreezer
from tidegate.node.runtimes.process.limits import LimitGroups
from tidegate.node.runtimes.process.record import Run, read_record

_log = structlog.get_logger("node")


class InstanceProcesses:
    """The processes of the instances whose files are in `folder`."""

    def __init__(self, folder: Path, groups: LimitGroups | None = None, freezer: Freezer | None = None) -> None:
        self.folder = folder
        self.groups = groups
        self.freezer = freezer or SignalFreezer()
        self.leaders: dict[str, Process] = {}  # by owner
        self._users: dict[str, int] = {}  # by owner; not of root, whose processes may become other users'
        self._sweeper = sweep.Sweeper(folder, self.leaders, self._users)

    async def look(self) -> sweep.Found:
        """All processes of all instances, by owner."""
        return await self._sweeper.look()

    async def members(self, owner: str) -> Sequence[sweep.Member]:
        """The processes that a container has now."""
        return (await self.look()).get(owner, ())

    async def of(self, owners: Collection[str]) -> sweep.Found:
        """The processes of some owners, each a container or a whole Pod ("<pod uid>")."""
        found = await self.look()
        containers = {owner: found[owner] for owner in owners if owner in found}
        pods = {owner for owner in owners if "/" not in owner}
        if not pods:
            return containers
        return containers | {owner: members for owner, members in found.items() if owner.partition("/")[0] in pods}

    def know(self, owner: str, process: Process, user: int | None) -> None:
        """`process` leads that container and runs as that user."""
        self.leaders[owner] = process
        if user:
            self._users[owner] = user

    async def spawn(
        self, owner: str, run: Run, program: Sequence[str], output: int, *, record: Callable[[Process], None]
    ) -> launcher.Child:
        """Start a program of a container. Before it is executed it is recorded and within its limits. Raises
        `LaunchError` or `OSError`; then no process is left."""
        waiting = launcher.start_waiting(output, self._mark(owner))
        try:
            record(identity_of(waiting.child))
            self._apply_limits(owner, run.limits, waiting.child.pid)
        except BaseException:
            waiting.abandon()
            raise
        await waiting.execute(run.orders(program))
        return waiting.child

    async def spawn_beside(self, owner: str, run: Run, program: Sequence[str], stdio: Stdio) -> launcher.Child:
        """Start a program beside a container's own, within the container's limits; it dies with the control plane.
        Raises `LaunchError` or `OSError`; then no process is left."""
        orders = replace(
            run.orders(program, beside=self.leaders[owner].pid), attended=True, has_terminal=stdio.terminal
        )
        waiting = launcher.start_waiting(stdio.stdout, self._mark(owner), errors=stdio.stderr, stdin=stdio.stdin)
        try:
            self._apply_limits(owner, run.limits, waiting.child.pid)
        except BaseException:
            waiting.abandon()
            raise
        await waiting.execute(orders)
        return waiting.child

    async def kill_session(self, owner: str, leader: int, session: str) -> None:
        """Kill all that a session has started: the processes of its leader's kernel session, and the processes with its
        mark."""
        delay = 0.002
        while found := [
            member
            for member in await self.members(owner)
            if member.session == leader or sweep.session_of(member.process.pid) == session
        ]:
            for member in found:
                member.process.signal(signal.SIGKILL)
            await asyncio.sleep(delay)
            delay = min(2 * delay, 1.0)

    def was_oom_killed(self, owner: str) -> bool:
        """Whether the kernel killed a process of that container because of its memory limit."""
        return self.groups is not None and self.groups.was_oom_killed(group_name(owner))

    async def kill(self, owners: Collection[str]) -> None:
        """Kill all processes of these containers or Pods."""
        delay = 0.002
        while found := await self.of(owners):
            for owner, members in found.items():
                for member in members:
                    member.process.signal(signal.SIGKILL)
                self.freezer.thaw(group_name(owner), ())  # a frozen process does not even end
            await asyncio.sleep(delay)
            delay = min(2 * delay, 1.0)

    def release(self, owner: str) -> None:
        """No process of that container is left."""
        self.leaders.pop(owner, None)
        self._users.pop(owner, None)
        self.freezer.release(group_name(owner))
        if self.groups is not None:
            self.groups.release(group_name(owner))

    async def forget(self, pod: str) -> None:
        """End all that is left of a Pod and remove its folder."""
        owners = [owner for owner in self.leaders if owner.partition("/")[0] == pod]
        if owners:  # a container that has ended was killed with all its processes
            await self.kill([pod])
        for owner in owners:
            self.release(owner)
        await asyncio.to_thread(trees.remove, self.folder / pod)

    async def forget_others(self, pods: Collection[str]) -> None:
        """Do so for each Pod that has a folder or a process and is not in `pods`."""
        folders = [entry for entry in self.folder.iterdir() if entry.is_dir()]
        for entry in folders:
            record = read_record(entry)
            for owner, process in (record.leaders(entry.name) if record is not None else {}).items():
                if process.alive or entry.name not in pods:
                    self.leaders[owner] = process
        found = await self.look()
        # Started by a control plane that died before it could record them: they cannot be adopted.
        await self.kill([owner for owner in found if owner not in self.leaders])
        for member in (member for members in found.values() for member in members):
            if sweep.session_of(member.process.pid):  # its client was connected to the control plane that died
                member.process.signal(signal.SIGKILL)
        for pod in {entry.name for entry in folders} | {owner.partition("/")[0] for owner in found}:
            if pod not in pods:
                await self.forget(pod)

    def _mark(self, owner: str) -> dict[str, str]:
        return {sweep.MARK: sweep.mark(self.folder, owner)}

    def _apply_limits(self, owner: str, limits: Limits, pid: int) -> None:
        if limits == Limits():
            return
        if self.groups is None:
            _log.warning("limits are not enforced: no control group can be written", instance=owner)
            return
        try:
            self.groups.apply(group_name(owner), pid, limits)
        except ProcessLookupError:
            pass  # it has ended already
        except OSError as error:
            _log.warning("limits are not enforced", instance=owner, error=str(error))


def identity_of(child: launcher.Child) -> Process:
    """The identity of a child, which may have exited: its pid is not used again before we wait for it."""
    process = Process.of(child.pid)
    return process if process is not None else Process(child.pid, 0)


def group_name(owner: str) -> str:
    """The name of a container's control groups."""
    return owner.replace("/", ".")
