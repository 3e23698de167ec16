# SPDX-License-Identifier: Apache-2.0
"""Envoy's hot restart: one process takes over from another without losing a connection.

The new process gets the listening sockets of the old one, so connections in their queues are not lost. When the new
process has its configuration, the old one stops accepting connections, closes each connection after its next response,
and continues with the requests that it has. Both belong to a line of processes, in which each has the next epoch. They
find each other by Unix sockets, and by shared memory named after the line.

In: where the sockets are. Out: options for a process's command line, and whether it has taken over. Called by:
`envoy.py`, `launch.py`, `record.py`.
"""

import os
import secrets
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import msgspec

from tidegate.gateway import envoy_admin
from tidegate.kit.addresses import LONGEST_SOCKET_PATH

LINKED_SECONDS = 2
"""How long a new process needs the old one after it has begun to listen: it would not survive the end of the old one.
Then it sends the old one a SIGTERM, which the gate intercepts."""
_MEMORY = Path("/dev/shm")  # noqa: S108 - where POSIX shared memory is
_LINES = 2**31 // 10  # Envoy appends a digit, and stores the result in a signed 32-bit integer
_LONGEST_ENDING = "_udp_parent_2147483647"


@dataclass(frozen=True, slots=True)
class Generation:
    """One process's place in a line of hot restarts."""

    line: int
    epoch: int = 0

    @classmethod
    def first(cls) -> Self:
        """The first process of a new line."""
        return cls(secrets.randbelow(_LINES - 1) + 1)

    def next(self) -> Self:
        return replace(self, epoch=self.epoch + 1)

    def options(self, sockets: Path) -> list[str]:
        """Options for the command line. `sockets`: the common beginning of the sockets' paths."""
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
    """Whether Envoys can hand over on this machine. `sockets`: the common beginning of the sockets' paths."""
    fits = len(os.fsencode(sockets)) + len(_LONGEST_ENDING) <= LONGEST_SOCKET_PATH
    return fits and os.access(_MEMORY, os.W_OK)


def clear_sockets(sockets: Path) -> None:
    """Remove the sockets of a line that has ended."""
    for path in sockets.parent.glob(f"{sockets.name}_*"):
        path.unlink(missing_ok=True)


async def serves(admin_socket: Path, gateway: str) -> bool:
    """Whether the Envoy of that id listens, and the admin socket is its own: it has taken over."""
    try:
        response = await envoy_admin.request(admin_socket, "GET", "/server_info")
        info = msgspec.json.decode(response, type=_ServerInfo)
    except (envoy_admin.EnvoyAdminError, msgspec.DecodeError):
        return False
    return info.state == "LIVE" and info.node.id == gateway


class _Node(msgspec.Struct):
    id: str


class _ServerInfo(msgspec.Struct):
    state: str
    node: _Node
