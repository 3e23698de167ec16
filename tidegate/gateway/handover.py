# SPDX-License-Identifier: Apache-2.0
"""How one Envoy takes over from another without losing a connection: Envoy's hot restart.

A new process gets the listening sockets of the one before it, so that no connection that waits in their queues is
lost. Once it has its configuration the old one stops accepting, closes each connection after its next answer, and lives
on for the requests that it has. Both take part in a line of processes, of which each has the next epoch. They find each
other by Unix sockets and by a piece of shared memory, which the line's id names.

In: where the sockets are. Out: options for a process's command line, and whether it has taken over. Who: `single.py`.
"""

import asyncio
import os
import secrets
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import msgspec

from tidegate.client import wire

LINKED_SECONDS = 2
"""From when a process listens until it needs the one before it no more. It then has that one sent a SIGTERM, which the
gate keeps from it. Until then it would not survive if that one ended."""
_MEMORY = Path("/dev/shm")  # noqa: S108 - where POSIX shared memory is
_LINES = 2**31 // 10  # Envoy appends a digit and keeps it in 32 bits, with a sign
_LONGEST_ENDING = "_udp_parent_2147483647"
_LONGEST_SOCKET_PATH = 107  # bytes that a Unix socket's address has room for
_ADMIN_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Generation:
    """One process's place in such a line."""

    line: int
    epoch: int = 0

    @classmethod
    def first(cls) -> Self:
        """Of a new line: there is nobody to take over from."""
        return cls(secrets.randbelow(_LINES - 1) + 1)

    def next(self) -> Self:
        return replace(self, epoch=self.epoch + 1)

    def options(self, sockets: Path) -> list[str]:
        """`sockets`: how the paths of the sockets begin."""
        return [
            *("--base-id", str(self.line), "--restart-epoch", str(self.epoch)),
            *("--socket-path", str(sockets), "--socket-mode", "600"),
            *("--parent-shutdown-time-s", str(LINKED_SECONDS), "--skip-hot-restart-parent-stats"),
        ]

    def clear(self) -> None:
        """Remove the shared memory of a line that has ended."""
        for memory in _MEMORY.glob(f"envoy_shared_memory_{self.line}?"):
            memory.unlink(missing_ok=True)


def is_possible(sockets: Path) -> bool:
    """Whether this machine lets Envoys hand over by sockets whose paths begin so."""
    fits = len(os.fsencode(sockets)) + len(_LONGEST_ENDING) <= _LONGEST_SOCKET_PATH
    return fits and os.access(_MEMORY, os.W_OK)


def clear_sockets(sockets: Path) -> None:
    """Remove the sockets that a line has left."""
    for path in sockets.parent.glob(f"{sockets.name}_*"):
        path.unlink(missing_ok=True)


async def serves(admin_socket: Path, gateway: str) -> bool:
    """Whether the Envoy of that id has taken over: it listens, and its admin interface is at the socket."""
    try:
        info = await _server_info(admin_socket)
    except (OSError, wire.WireError, msgspec.DecodeError):
        return False
    return info.state == "LIVE" and info.node.id == gateway


async def _server_info(admin_socket: Path) -> "_ServerInfo":
    connection = wire.Connection(*await asyncio.open_unix_connection(admin_socket))
    try:
        await connection.send(wire.Request("GET", "/server_info", {"host": "envoy"}, seconds=_ADMIN_SECONDS), {})
        body = b"".join([piece async for piece in connection.body(_ADMIN_SECONDS)])
    finally:
        await connection.close()
    return msgspec.json.decode(body, type=_ServerInfo)


class _Node(msgspec.Struct):
    id: str


class _ServerInfo(msgspec.Struct):
    state: str
    node: _Node
