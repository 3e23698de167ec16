# SPDX-License-Identifier: Apache-2.0
"""Who belongs to an instance: every process of its session, and every process that carries its mark in its environment.

In: /proc. Out: processes by their owner, "<pod uid>/<container>". The mark is there from the moment a process exists,
so that nothing which was started can be missed, whatever died between starting it and writing that down; the session
also covers those that dropped their environment. Anybody can carry a mark: it counts only for processes of the user
that the instance runs as, and only where it names two plain names, for folders are removed by it.
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

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_CHUNK = 16 * 1024
_OWNER = re.compile(r"[A-Za-z0-9-]+/[A-Za-z0-9-]+", re.ASCII)
_NOT_OURS = (FileNotFoundError, ProcessLookupError, PermissionError)
"""How reading fails of a process that is gone or another user's. Any other failure, e.g. that no file can be opened any
more, must not make a process look gone that runs."""


class Member(NamedTuple):
    """A process that belongs to an instance, with what it and its ended children have used."""

    process: Process
    session: int
    cpu_seconds: float
    memory_bytes: int


Found = Mapping[str, list[Member]]
"""Processes by owner."""


def mark(folder: Path, owner: str) -> str:
    """What MARK is set to for an instance whose files are in `folder`."""
    return f"{folder}/{owner}"


def find(folder: Path, leaders: Mapping[str, Process], users: Mapping[str, int] = MappingProxyType({})) -> Found:
    """Every process of the instances in `folder`. `leaders`: the processes that lead known instances' sessions;
    `users`: who they run as, where that is known."""
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
    """None for one that is gone or a zombie."""
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
    with suppress(*_NOT_OURS):
        for variable in _read(f"/proc/{pid}/environ").split(b"\0"):
            if variable.startswith(prefix):
                named = variable[len(prefix) :].decode(errors="replace")
                return named if _OWNER.fullmatch(named) else ""
    return ""


def user_of(pid: int) -> int | None:
    """The real user of a process, also of one that hides from /proc whose it is; None for one that is gone."""
    with suppress(OSError):
        for line in _read(f"/proc/{pid}/status").splitlines():
            if line.startswith(b"Uid:"):
                return int(line.split()[1])
    return None


def _read(path: str) -> bytes:
    """A file of /proc, with as few calls as it takes: this is done for every process of the host."""
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
    """Looks through /proc in a thread; callers that come while a look is under way share the next one."""

    def __init__(self, folder: Path, leaders: Mapping[str, Process], users: Mapping[str, int]) -> None:
        self._folder = folder
        self._leaders = leaders
        self._users = users
        self._one = asyncio.Lock()
        self._next: asyncio.Task[Found] | None = None

    async def look(self) -> Found:
        """What there was at a moment after the call."""
        if self._next is None:
            self._next = asyncio.create_task(self._look(), name="sweep")
        return await asyncio.shield(self._next)

    async def _look(self) -> Found:
        async with self._one:
            self._next = None
            return await asyncio.to_thread(find, self._folder, dict(self._leaders), dict(self._users))
