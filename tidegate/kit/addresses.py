# SPDX-License-Identifier: Apache-2.0
"""The addresses to listen on, with IPv6 if this machine has it. Called by: `embedded.py`, the API's server."""

import socket

IPV4, IPV6 = "127.0.0.1", "::1"

LONGEST_SOCKET_PATH = 107
"""Bytes in the path of a Unix socket, at most."""


def loopback() -> tuple[str, ...]:
    """The loopback addresses."""
    return (IPV4, IPV6) if _has(IPV6) else (IPV4,)


def everywhere() -> tuple[str, ...]:
    """All addresses of this machine; "::" includes IPv4."""
    return ("::",) if _has("::") and socket.has_dualstack_ipv6() else ("0.0.0.0",)  # noqa: S104


def family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _has(address: str) -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind((address, 0))
    except OSError:  # no IPv6 in the kernel, or none on this interface
        return False
    return True
