# SPDX-License-Identifier: Apache-2.0
"""Advice for the author of an app that does not listen on its port. Pure.

In: the port that the app was given, the sockets that it listens on, the last lines of its log. Out: a sentence or two
for the conditions of its Pod, Revision and Service. Called by: `port_guard.py`, while the app is not ready;
`container.py`, when it has ended.

| the app has opened | advice |
| --- | --- |
| no port, or ports that Tidegate may not see | listen on $PORT |
| the right port on an address that 127.0.0.1 does not reach | listen on 127.0.0.1 or on all addresses |
| other ports | listen on $PORT, or name the port in the spec, which one instance on this host can have |

An instance with an address of its own listens on all addresses; its ports are its own.
"""

from collections.abc import Sequence

from tidegate.node.port_lease import PortLease
from tidegate.node.runtime import ListeningSocket

_LISTEN = "let it listen on $PORT"
_LINES, _BYTES = 3, 300


def of(lease: PortLease, opened: Sequence[ListeningSocket] | None, last_lines: str) -> str:
    """`lease`: its port is the value of $PORT; `opened`: None if the sockets cannot be seen."""
    if opened is None:
        return f"waiting for {lease.endpoint}: {_LISTEN}{_last(last_lines)}"
    where = ", ".join(map(str, opened)) or "no port"
    return f"waiting for {lease.endpoint}; the app has opened {where}: {_advice(lease, opened)}{_last(last_lines)}"


def conflict(named: int) -> str:
    """For an app that ended because its port is in use, if another program has the port that its spec names."""
    why = f"port {named} is in use on this host, perhaps by another instance"
    return f"{why}: an app that does not listen on $PORT can have only one instance here"


def _advice(lease: PortLease, opened: Sequence[ListeningSocket]) -> str:
    if any(listener.port == lease.port for listener in opened):
        return "let it listen on 127.0.0.1 or on all addresses" if lease.is_shared else "let it listen on all addresses"
    if not opened:
        return _LISTEN
    ports = sorted({listener.port for listener in opened})
    which = str(ports[0]) if len(ports) == 1 else "the one of these that takes requests"
    named = f"{_LISTEN}, or set ports[0].containerPort to {which}"
    return f"{named}, which only one instance here can have" if lease.is_shared else named


def _last(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()][-_LINES:]
    return f" (its last lines: {' | '.join(lines)[-_BYTES:]})" if lines else ""
