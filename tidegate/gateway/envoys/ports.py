# SPDX-License-Identifier: Apache-2.0
"""The ports that Envoys listen on: the requested ones, or free ones that stay the same from start to start.

In: the requested ports (0: any free port), the ports of the last start, and the ports that an Envoy of ours has. Out:
the ports to use, or an `EnvoyError`. Called by: `envoys.py`.
"""

import os
import random
import socket
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

_USES = ("HTTP", "HTTPS", "internal HTTP")
_LOWEST_PORT = 10_000  # above the well-known ports; chosen ports are below the kernel's range for outgoing connections
_PORT_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_TRIES = 1000


class EnvoyError(Exception):
    """Envoy cannot be started; the message is one line for the user."""


class EnvoyPorts(NamedTuple):
    """The ports of the listeners."""

    http: int
    https: int
    internal: int


def choose(requested: EnvoyPorts, last: EnvoyPorts | None, ours: Collection[int]) -> EnvoyPorts:
    """The ports to use. `last`: the ports of the last start. `ours`: ports on which an Envoy of ours listens."""
    return EnvoyPorts(*_choose(requested, last or EnvoyPorts(0, 0, 0), ours))


def _choose(requested: EnvoyPorts, last: EnvoyPorts, ours: Collection[int]) -> Iterator[int]:
    taken = {port: use for use, port in zip(_USES, requested, strict=True) if port}
    for use, port, before in zip(_USES, requested, last, strict=True):
        if taken.get(port, use) != use:
            raise EnvoyError(f"port {port} is requested for both {use} and {taken[port]}")
        chosen = _port(port, before, ours, taken)
        taken[chosen] = use
        yield chosen


def _port(requested: int, before: int, ours: Collection[int], taken: Collection[int]) -> int:
    if requested:
        reason = "" if requested in ours else _rejection(requested)
        if reason:
            raise EnvoyError(f"cannot listen on port {requested}: {reason}")
        return requested
    if before and before not in taken and (before in ours or not _rejection(before)):
        return before
    end = int(_PORT_RANGE.read_text().split()[0])
    candidates = range(_LOWEST_PORT, end if end > _LOWEST_PORT + _TRIES else 60_000)
    for port in random.sample(candidates, _TRIES):
        if port not in taken and not _rejection(port):
            return port
    raise EnvoyError("found no free port")


def _rejection(port: int) -> str:
    """Why a process cannot listen on that port; "" if it can."""
    dual = socket.has_dualstack_ipv6()
    try:
        socket.create_server(
            ("", port), family=socket.AF_INET6 if dual else socket.AF_INET, dualstack_ipv6=dual
        ).close()
    except OSError as error:
        return os.strerror(error.errno or 0).lower()
    return ""
