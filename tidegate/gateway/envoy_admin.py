# SPDX-License-Identifier: Apache-2.0
"""Requests to the admin interface of an Envoy, a Unix socket.

In: the socket and a request. Out: the body of the response. Called by: `envoys/handover.py` (state), `envoys/envoys.py`
(drain), `envoy_statistics.py`, `access_log.py` (reopens the log).
"""

import asyncio
from pathlib import Path

from tidegate.client import wire

_SECONDS = 2.0  # for each piece of the response


class EnvoyAdminError(Exception):
    """Envoy does not run, or does not answer in time."""


async def request(socket: Path, method: str, target: str) -> bytes:
    """Send a request without a body. Return the body of the response."""
    headers = {"host": "envoy", **({"content-length": "0"} if method == "POST" else {})}
    try:
        connection = wire.ClientConnection(*await asyncio.open_unix_connection(socket))
        try:
            await connection.send(wire.ClientRequest(method, target, headers, seconds=_SECONDS), {})
            return b"".join([piece async for piece in connection.body(_SECONDS)])
        finally:
            await connection.close()
    except (OSError, wire.WireError) as error:
        raise EnvoyAdminError(str(error) or type(error).__name__) from error
