# SPDX-License-Identifier: Apache-2.0
"""A port for each instance.

In: nothing, or the port of an adopted instance. Out: a free port, chosen at random below the range of outgoing
connections, so that neither a connection nor another Tidegate on this host is likely to have it. An app that still
finds its port in use ends, and is started again on another port (`restarts.py`). Called by: `port_lease.py`.
"""

import random
import socket
from pathlib import Path

_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_LOWEST = 10000
_TRIES = 1000


class NoPort(Exception):
    """Every port that was tried is in use."""


class PortPool:
    """The ports of this node's instances. The range: `lowest` to `end` - 1."""

    def __init__(self, lowest: int = _LOWEST, end: int = 0) -> None:
        self._lowest = lowest
        self._end = end or _first_outgoing()
        self._taken: set[int] = set()

    def take(self) -> int:
        """A port on which no program listens now. Raises `NoPort`."""
        for _ in range(_TRIES):
            port = random.randrange(self._lowest, self._end)  # noqa: S311 - spreads, guards nothing
            if port not in self._taken and _is_free(port):
                self._taken.add(port)
                return port
        raise NoPort(f"found no free port between {self._lowest} and {self._end - 1}")

    def keep(self, port: int) -> None:
        """An adopted instance has this port."""
        self._taken.add(port)

    def has(self, port: int) -> bool:
        """Whether an instance has this port."""
        return port in self._taken

    def release(self, port: int) -> None:
        self._taken.discard(port)


def _first_outgoing() -> int:
    """The first port of outgoing connections; 60000 if it leaves too few ports below it."""
    first = int(_RANGE.read_text().split()[0])
    return first if first > _LOWEST + 1000 else 60000


def _is_free(port: int) -> bool:
    """Whether a program can listen on it on every address. Without SO_REUSEADDR, so that old connections count."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as attempt:
        try:
            attempt.bind(("", port))
        except OSError:
            return False
    return True
