# SPDX-License-Identifier: Apache-2.0
"""TCP connections to an address of this host, or inside another network namespace.

Called by: the runtimes, for `kubectl port-forward`.
"""

import asyncio
import ctypes
import os
import socket
import threading
from pathlib import Path

CONNECT_SECONDS = 10.0
_NETWORK_NAMESPACE = 0x40000000  # CLONE_NEWNET
_libc = ctypes.CDLL(None, use_errno=True)


async def connected(address: str, port: int, namespace: Path | None = None) -> socket.socket:
    """A connection that does not block. `namespace`: a network namespace in which to connect, as a file of /proc or of
    a mount. Raises `OSError`."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    made = _made(family) if namespace is None else await asyncio.to_thread(_made_inside, family, namespace)
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            await asyncio.get_running_loop().sock_connect(made, (address, port))
    except BaseException:
        made.close()
        raise
    return made


def _made(family: socket.AddressFamily) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def _made_inside(family: socket.AddressFamily, namespace: Path) -> socket.socket:
    """A socket belongs to the namespace in which it was made, whichever thread uses it. The thread that enters the
    namespace ends at once, so that no other work runs there."""
    results: list[socket.socket | OSError] = []

    def make() -> None:
        try:
            _enter(namespace)
            results.append(_made(family))
        except OSError as error:
            results.append(error)

    thread = threading.Thread(target=make, name="network namespace")
    thread.start()
    thread.join()
    if isinstance(results[0], OSError):
        raise results[0]
    return results[0]


def _enter(namespace: Path) -> None:
    """Move this thread into a network namespace."""
    with namespace.open("rb") as file:
        if _libc.setns(file.fileno(), _NETWORK_NAMESPACE) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(namespace))
