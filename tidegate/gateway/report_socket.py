# SPDX-License-Identifier: Apache-2.0
"""The socket on which the gates report: a SOCK_SEQPACKET Unix socket, one JSON object a packet (`gate/report.cc`).

In: packets of the gates in any number of Envoys. Out: calls of a `Receiver`. Called by: `load.py`.
"""

import asyncio
import socket
from functools import partial
from pathlib import Path
from typing import Protocol

import msgspec
import structlog

_PACKET_BYTES = 128 * 1024  # the gate sends at most half of that
_log = structlog.get_logger("load")


class Receiver(Protocol):
    """`connection` is a number that no other open connection has."""

    def receive(self, connection: int, packet: bytes) -> None:
        """Take in a packet. Raises a `msgspec.DecodeError` for a malformed one."""

    def closed(self, connection: int) -> None:
        """The gate has closed the connection."""


async def serve(path: Path, receiver: Receiver) -> None:
    """Listen and read until cancelled."""
    loop = asyncio.get_running_loop()
    with _listening(path) as listener:
        async with asyncio.TaskGroup() as group:
            while True:
                connection, _ = await loop.sock_accept(listener)
                reading = group.create_task(_read(connection, receiver), name="load connection")
                reading.add_done_callback(partial(_close, connection))  # even if the task never began


async def _read(connection: socket.socket, receiver: Receiver) -> None:
    """Read all packets of one gate. Of its malformed packets, the first is logged and all are dropped."""
    loop = asyncio.get_running_loop()
    number = connection.fileno()
    connection.setblocking(False)
    is_logged = False
    try:
        while packet := await loop.sock_recv(connection, _PACKET_BYTES):
            try:
                receiver.receive(number, packet)
            except msgspec.DecodeError as error:  # also for a packet that is longer than the limit
                if not is_logged:
                    _log.warning("malformed report from a gateway", error=str(error))
                is_logged = True
    except ConnectionResetError:
        pass  # it ends the connection like any other end
    finally:
        receiver.closed(number)


def _close(connection: socket.socket, _: asyncio.Task[None]) -> None:
    connection.close()


def _listening(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        listener.setblocking(False)
        listener.bind(str(path))
        path.chmod(0o600)  # before `listen`, so that no other user can ever connect
        listener.listen()
    except OSError:
        listener.close()
        raise
    return listener
