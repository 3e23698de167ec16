# SPDX-License-Identifier: Apache-2.0
"""A port of its own for each instance.

In: nothing, or a port that an instance already has. Out: a free port, picked at random below the range from which the
kernel takes ports for outgoing connections, so that neither they nor another Tidegate on this host are likely to have
it. Whoever still loses a race ends with "address in use" and is started again on another port (`container`).
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
    """The ports that are given out."""

    def __init__(self, lowest: int = _LOWEST, end: int = 0) -> None:
        self._lowest = lowest
        self._end = end or _first_outgoing()
        self._taken: set[int] = set()

    def take(self) -> int:
        """A port on which nothing listens now. Raises `NoPort`."""
        for _ in range(_TRIES):
            port = random.randrange(self._lowest, self._end)  # noqa: S311 - spreads, guards nothing
            if port not in self._taken and _is_free(port):
                self._taken.add(port)
                return port
        raise NoPort(f"found no free port between {self._lowest} and {self._end - 1}")

    def keep(self, port: int) -> None:
        """An instance that was adopted has this port."""
        self._taken.add(port)

    def has(self, port: int) -> bool:
        """Whether an instance has this port."""
        return port in self._taken

    def release(self, port: int) -> None:
        self._taken.discard(port)


def _first_outgoing() -> int:
    """Where the ports of outgoing connections begin; far enough above the lowest, else they are shared."""
    first = int(_RANGE.read_text().split()[0])
    return first if first > _LOWEST + 1000 else 60000


def _is_free(port: int) -> bool:
    """Whether one can listen on it on every address; without SO_REUSEADDR, so that old connections count."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as attempt:
        try:
            attempt.bind(("", port))
        except OSError:
            return False
    return True
