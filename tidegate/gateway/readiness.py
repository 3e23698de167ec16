# SPDX-License-Identifier: Apache-2.0
"""Waits until the gateway answers requests, and reports to systemd why it does not yet. Called by: `gateway.py`."""

import asyncio
from contextlib import closing
from pathlib import Path

from tidegate.gateway.envoys import launch
from tidegate.kit import notify

_POLL_SECONDS = 0.05
_RESPONSE_SECONDS = 5.0  # for the response to one request
_STATUS_SECONDS = 1.0


async def until_answering(port: int, folder: Path) -> None:
    """Return once the gateway answers a request on that port, with any status. `folder`: the Envoy's files."""
    waited = 0.0
    while not await _is_answering(port):
        waited += _POLL_SECONDS
        if waited >= _STATUS_SECONDS:
            waited = 0.0
            notify.status(
                f"waiting for the gateway on port {port}; its last log line: {launch.last_line(folder) or '-'}"
            )
        await asyncio.sleep(_POLL_SECONDS)


async def _is_answering(port: int) -> bool:
    try:
        async with asyncio.timeout(_RESPONSE_SECONDS):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            with closing(writer):
                writer.write(b"GET / HTTP/1.1\r\nhost: tidegate.invalid\r\nconnection: close\r\n\r\n")
                return (await reader.read(5)) == b"HTTP/"
    except OSError:  # nothing listens yet, or there is no response in time
        return False
