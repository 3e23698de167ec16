# SPDX-License-Identifier: Apache-2.0
"""Rotates the Envoys' access logs (`xds/access.py`), so that they do not fill the disk: two files for each Envoy.

In: the path of each log, and the admin socket of the Envoy that writes it. Called by: `gateway.py`. Without request
logging there are no files, and nothing to do.
"""

import asyncio
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import structlog

from tidegate.kit.clock import Clock

FILE_BYTES = 64 * 1024 * 1024
"""Size at which a log is rotated."""

_PERIOD_SECONDS = 5.0
_log = structlog.get_logger("access log")


class AccessLog:
    """The logs. A log that is too long is renamed to NAME.1, and Envoy begins a new one."""

    def __init__(self, writers: Mapping[Path, Path], clock: Clock, *, most_bytes: int = FILE_BYTES) -> None:
        """`writers`: the admin socket of each log's Envoy, by the path of the log."""
        self._writers = writers
        self._clock = clock
        self._most_bytes = most_bytes

    async def run(self) -> None:
        """Check the sizes every 5 seconds, until cancelled."""
        while True:
            await self._clock.sleep(_PERIOD_SECONDS)
            for path, admin_socket in self._writers.items():
                if path.exists() and path.stat().st_size > self._most_bytes:
                    path.replace(path.with_name(f"{path.name}.1"))
                    await self._reopen(admin_socket)

    async def _reopen(self, admin_socket: Path) -> None:
        """Have Envoy open a new file; until then it writes to the renamed one."""
        try:
            reader, writer = await asyncio.open_unix_connection(admin_socket)
        except OSError as error:  # Envoy does not run: the next one opens a new file at its start
            _log.warning("cannot have Envoy reopen its access log", error=str(error))
            return
        with closing(writer):
            writer.write(b"POST /reopen_logs HTTP/1.1\r\nhost: admin\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
            await reader.read()
