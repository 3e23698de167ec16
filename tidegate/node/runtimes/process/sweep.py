# SPDX-License-Identifier: Apache-2.0
"""The processes of an instance: all of its session, and all that carry its mark in their environment.

In: /proc. Out: processes by their owner, "<pod uid>/<container>". A process has the mark from the moment it exists, so
none is missed, also if the control plane died before it recorded the process; the session covers processes that dropped
their environment. Every user can start a process with a mark: it counts only for processes of the instance's user, and
only if it consists of two plain names, because folders are removed by it. Called by: `processes.py`.
"""

import asyncio
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from tidegate.kit.processes import Process

MARK = "TIDEGATE_INSTANCE"
SESSION = "TIDEGATE_SESSION"
"""The variable that names the session (`kubectl exec`) that started a process."""

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_CHUNK = 16 * 1024
_OWNER = re.compile(r"[A-Za-z0-9-]+/[A-Za-z0-9-]+", re.ASCII)
_NOT_OURS = (FileNotFoundError, ProcessLookupError, PermissionError)
"""The errors of reading about a process that has exited or is another user's. Any other error, e.g. too many open
files, must not make a running process look as if it had exited."""


class Member(NamedTuple):
    """A process of an instance, and the resources of it and of its children that have ended."""

    process: Process
    session: int
    cpu_seconds: float
    memory_bytes: int


Found = Mapping[str, list[Member]]
"""Processes by owner."""


def mark(folder: Path, owner: str) -> str:
    """The value of MARK for an instance whose files are in `folder`."""
    return f"{folder}/{owner}"


def find(folder: Path, leaders: Mapping[str, Process], users: Mapping[str, int] = MappingProxyType({})) -> Found:
    """Every process of the instances in `folder`. `leaders`: the processes that lead the sessions of known instances;
    `users`: their users, where known."""
    sessions = {
        leader.pid: (owner, leader.started)
        for owner, leader in leaders.items()
        if Process.of(leader.pid) in (None, leader)
    }
    prefix = f"{MARK}={folder}/".encode()
    found: dict[str, list[Member]] = {}
    for entry in list(os.scandir("/proc")):
        if not entry.name.isdecimal() or (member := _member(int(entry.name))) is None:
            continue
        owner, since = sessions.get(member.session, ("", 0))
        if not owner or member.process.started < since:
            owner = _marked(member.process.pid, prefix)
            if owner in users and user_of(member.process.pid) != users[owner]:
                continue
        if owner:
            found.setdefault(owner, []).append(member)
    return found


def _member(pid: int) -> Member | None:
    """None for a process that has exited or is a zombie."""
    try:
        stat = _read(f"/proc/{pid}/stat")
    except _NOT_OURS:
        return None
    fields = stat.rpartition(b")")[2].split()  # the second field, in parentheses, may hold anything
    if fields[0] in (b"Z", b"X"):
        return None
    ticks = sum(map(int, fields[11:15]))  # user and system, its own and its ended children's
    return Member(Process(pid, int(fields[19])), int(fields[3]), ticks / _TICKS, int(fields[21]) * _PAGE)


def _marked(pid: int, prefix: bytes) -> str:
    """The owner that a process's environment names, or ""."""
    named = _variable(pid, prefix)
    return named if _OWNER.fullmatch(named) else ""


def session_of(pid: int) -> str:
    """The session that started a process, or ""."""
    return _variable(pid, f"{SESSION}=".encode())


def _variable(pid: int, prefix: bytes) -> str:
    """The rest of the variable with that beginning in a process's environment, or ""."""
    with suppress(*_NOT_OURS):
        for variable in _read(f"/proc/{pid}/environ").split(b"\0"):
            if variable.startswith(prefix):
                return variable[len(prefix) :].decode(errors="replace")
    return ""


def user_of(pid: int) -> int | None:
    """The real user of a process, also if the owner of its /proc files is hidden; None if it has exited."""
    with suppress(OSError):
        for line in _read(f"/proc/{pid}/status").splitlines():
            if line.startswith(b"Uid:"):
                return int(line.split()[1])
    return None


def _read(path: str) -> bytes:
    """A file of /proc, with few calls: every process of the host is read."""
    file = os.open(path, os.O_RDONLY)
    try:
        content = chunk = os.read(file, _CHUNK)
        while len(chunk) == _CHUNK:
            chunk = os.read(file, _CHUNK)
            content += chunk
        return content
    finally:
        os.close(file)


class Sweeper:
    """Scans /proc in a thread. Callers that come during a scan share the next one."""

    def __init__(self, folder: Path, leaders: Mapping[str, Process], users: Mapping[str, int]) -> None:
        self._folder = folder
        self._leaders = leaders
        self._users = users
        self._one = asyncio.Lock()
        self._next: asyncio.Task[Found] | None = None

    async def look(self) -> Found:
        """The processes at a moment after the call."""
        if self._next is None:
            self._next = asyncio.create_task(self._look(), name="sweep")
        return await asyncio.shield(self._next)

    async def _look(self) -> Found:
        async with self._one:
            self._next = None
            return await asyncio.to_thread(find, self._folder, dict(self._leaders), dict(self._users))
