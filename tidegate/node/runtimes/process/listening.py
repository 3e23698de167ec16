# SPDX-License-Identifier: Apache-2.0
"""Whether the instance itself listens on its port, and a reservation of that port while gateways send there.

In: the process that leads a container, and a port. Out: `problem`, a fault of the listener; `opened`, the sockets of
the container; `lost`, which returns once the container may have stopped listening. Called by: `port_guard.py`,
`prober.py`, `container.py`; `running.py` makes one for each run.

Proof: the inode of the listening socket is among the open files of one of the container's processes. If those cannot be
read (another user's processes, without CAP_SYS_PTRACE), the container's user must have created the socket.

`hold_port`: a second descriptor of the same socket, by pidfd_getfd. While a socket is open, the kernel gives its port
to no other program, so the port stays taken when the process dies. `refuse_connections` then keeps the port without
listening until `release`, when no gateway sends there any more. If the kernel refuses a descriptor (another user's
process without CAP_SYS_PTRACE, or Yama), the port is not held; then only the withdrawal from the gateways protects.
"""

import asyncio
import ctypes
import os
import socket
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from tidegate.kit.processes import Process
from tidegate.node.runtime import ListeningSocket
from tidegate.node.runtimes import sockets
from tidegate.node.runtimes.process.sweep import Member

_PIDFD_GETFD = 438  # the same number on every architecture
_FEW_PROCESSES, _FEW_FILES = 16, 256  # this many processes, and open files of each, are read without a thread
_libc = ctypes.CDLL(None, use_errno=True)


class _Holder(NamedTuple):
    """A process that has a socket open, and the descriptor."""

    process: Process
    descriptor: int
    inode: int

    @property
    def has_it(self) -> bool:
        try:
            return _target(f"/proc/{self.process.pid}/fd/{self.descriptor}") == f"socket:[{self.inode}]"
        except OSError:
            return False


class ProcessListening:
    """The sockets of one run of a container. `members` returns all its processes."""

    def __init__(self, leader: Process, members: Callable[[], Awaitable[Sequence[Member]]]) -> None:
        self._leader = leader
        self._members = members
        self._port = 0
        self._proven: frozenset[int] = frozenset()  # inodes
        self._holder: _Holder | None = None
        self._held: socket.socket | None = None
        self._lost = asyncio.Event()

    async def problem(self, port: int) -> str | None:
        found = sockets.at_loopback(port)
        for listener in found:
            if listener.inode not in self._proven and not await self._is_ours(listener):
                return f"another program listens there (user {listener.user}), not the app"
        self._port, self._proven = port, frozenset(listener.inode for listener in found)
        return None if found else "nothing listens there"

    def is_taken(self, port: int) -> bool:
        return bool(sockets.at_loopback(port))

    async def opened(self) -> list[ListeningSocket] | None:
        """If the open files of its processes cannot be read: all sockets of its user, and None for root, who has many
        others."""
        everywhere = {listener.inode: listener for listener in sockets.listeners()}
        pids = [member.process.pid for member in await self._members()]
        if not any(map(_is_readable, pids)):
            user = _user(self._leader.pid)
            return sorted(found for found in everywhere.values() if found.user == user) if user > 0 else None
        inodes = await asyncio.to_thread(lambda: {inode for pid in pids for inode in _sockets(pid)})
        return sorted(everywhere[inode] for inode in inodes & everywhere.keys())

    def hold_port(self) -> None:
        self.release()
        self._lost.clear()
        if self._holder is not None:
            self._held = _duplicate(self._holder)

    async def lost(self) -> None:
        """Return once the process that listens has ended, or has closed its socket (`check`). The leader's end is not
        reported here: `container.py` waits for it."""
        holder = self._holder
        if holder is None or holder.process == self._leader:
            await self._lost.wait()
            return
        ended = asyncio.create_task(holder.process.ended())
        closed = asyncio.create_task(self._lost.wait())
        try:
            await asyncio.wait((ended, closed), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (ended, closed):
                task.cancel()
            await asyncio.gather(ended, closed, return_exceptions=True)

    def check(self) -> None:
        if not self._proven:
            return
        if self._holder is not None:
            has_it = self._holder.has_it
        else:
            has_it = self._proven == {listener.inode for listener in sockets.at_loopback(self._port)}
        if not has_it:
            self._lost.set()

    def invalidate(self) -> None:
        self._proven, self._holder = frozenset(), None

    def refuse_connections(self) -> None:
        """The socket stays bound, does not listen, and shares its port with no other."""
        self.invalidate()
        if self._held is not None:
            with suppress(OSError):
                self._held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
                self._held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 0)
                self._held.shutdown(socket.SHUT_RD)

    def release(self) -> None:
        if self._held is not None:
            self._held.close()
            self._held = None

    async def _is_ours(self, listener: ListeningSocket) -> bool:
        found = _find(islice(_family(self._leader.pid), _FEW_PROCESSES), listener.inode, most=_FEW_FILES)
        if found.holder is None:
            every = [member.process.pid for member in await self._members()]
            found = await asyncio.to_thread(_find, every, listener.inode)
        self._holder = found.holder or self._holder
        return found.holder is not None or (not found.readable and listener.user == _user(self._leader.pid))


class _Found(NamedTuple):
    """`readable`: whether the open files of any process could be read."""

    holder: _Holder | None
    readable: bool


def _find(pids: Iterable[int], inode: int, most: int | None = None) -> _Found:
    """The process among `pids` that has the socket open. `most`: the open files of each that are read, at most."""
    readable = False
    for pid in pids:
        for descriptor, target in islice(_open_files(pid), most):
            readable = True
            if target == f"socket:[{inode}]" and (process := Process.of(pid)) is not None:
                return _Found(_Holder(process, descriptor, inode), readable)
    return _Found(None, readable)


def _sockets(pid: int) -> Iterator[int]:
    """The inodes of the sockets that a process has open."""
    for _, target in _open_files(pid):
        kind, _, inode = target.partition(":[")
        if kind == "socket":
            yield int(inode[:-1])


def _open_files(pid: int) -> Iterator[tuple[int, str]]:
    """Descriptor and target of each open file; none if the process has ended or we may not read them."""
    with suppress(OSError), os.scandir(f"/proc/{pid}/fd") as entries:
        for entry in entries:
            with suppress(FileNotFoundError):  # closed since the scan
                yield int(entry.name), _target(entry.path)


def _is_readable(pid: int) -> bool:
    return next(_open_files(pid), None) is not None


def _target(path: str) -> str:
    return os.readlink(path)  # noqa: PTH115 - a Path takes twice as long, for many files


def _family(pid: int) -> Iterator[int]:
    """A process and all its descendants."""
    waiting = [pid]
    while waiting:
        yield (found := waiting.pop(0))
        with suppress(OSError):
            waiting += map(int, Path(f"/proc/{found}/task/{found}/children").read_text().split())


def _user(pid: int) -> int:
    """The effective user of a process; -1 for none."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("Uid:"):
                return int(line.split()[2])
    return -1


def _duplicate(holder: _Holder) -> socket.socket | None:
    """A second descriptor of its socket, closed on exec; None if the kernel refuses."""
    with suppress(OSError):
        handle = os.pidfd_open(holder.process.pid)
        try:
            descriptor = _libc.syscall(_PIDFD_GETFD, handle, holder.descriptor, 0) if holder.has_it else -1
        finally:
            os.close(handle)
        if descriptor >= 0:
            return socket.socket(fileno=descriptor)
    return None
