# SPDX-License-Identifier: Apache-2.0
"""Connections to the ports of a container, for `kubectl port-forward`.

In: a process of the container, its sockets, a port. Out: a connection, made in the container's network namespace. So it
reaches sockets that listen only on the container's own loopback, and on a shared loopback no socket of another program.
Called by: the runtimes.
"""

import socket
from contextlib import suppress
from pathlib import Path

from tidegate.kit import connections
from tidegate.kit.processes import Process
from tidegate.node.runtime import Listening

_LOOPBACK = {"0.0.0.0": ("127.0.0.1",), "::": ("127.0.0.1", "::1")}  # noqa: S104 - sockets of all addresses
"""The addresses to try. A Pod's namespace has no IPv6; a socket of `::` may take IPv6 alone."""


async def dialed(process: Process, listening: Listening, port: int) -> socket.socket:
    """Raises `ConnectionRefusedError` if the container does not listen there, and `OSError`."""
    opened = await listening.opened() or ()
    found = next((listener for listener in opened if listener.port == port), None)
    if found is None:
        ports = ", ".join(map(str, sorted({listener.port for listener in opened}))) or "none"
        raise ConnectionRefusedError(f"the container does not listen there; ports: {ports}")
    *others, last = _LOOPBACK.get(found.address, (found.address,))
    for address in others:
        with suppress(OSError):
            return await connections.connected(address, port, _other_namespace(process))
    return await connections.connected(last, port, _other_namespace(process))


def _other_namespace(process: Process) -> Path | None:
    """The network namespace of a process, unless it is ours."""
    namespace = Path(f"/proc/{process.pid}/ns/net")
    return None if namespace.samefile("/proc/self/ns/net") else namespace
