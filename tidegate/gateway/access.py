# SPDX-License-Identifier: Apache-2.0
"""Keeps the Envoys' access logs from filling the disk: the file that each writes (`xds.access`) and the one before it.

In: each log's path and the admin socket of the Envoy that writes it. Who: `embedded.py`. While nothing is logged, there
is nothing to do.
"""

import asyncio
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import structlog

from tidegate.kit.clock import Clock

_BYTES = 64 * 1024 * 1024  # of one file, about
_PERIOD_SECONDS = 5.0
_log = structlog.get_logger("access log")


class AccessLog:
    """The logs, each begun anew whenever it has become too long; the old one is then NAME.1."""

    def __init__(self, writers: Mapping[Path, Path], clock: Clock, *, most_bytes: int = _BYTES) -> None:
        """`writers`: by the log's path, the admin socket of its Envoy."""
        self._writers = writers
        self._clock = clock
        self._most_bytes = most_bytes

    async def run(self) -> None:
        """Look now and then, until cancelled."""
        while True:
            await self._clock.sleep(_PERIOD_SECONDS)
            for path, admin_socket in self._writers.items():
                if path.exists() and path.stat().st_size > self._most_bytes:
                    path.replace(path.with_name(f"{path.name}.1"))
                    await self._reopen(admin_socket)

    async def _reopen(self, admin_socket: Path) -> None:
        """Have Envoy write to a new file; it goes on with the old one until then, under whatever name."""
        try:
            reader, writer = await asyncio.open_unix_connection(admin_socket)
        except OSError as error:  # Envoy is not there: the next one begins a new file by itself
            _log.warning("cannot tell Envoy of its new access log", error=str(error))
            return
        with closing(writer):
            writer.write(b"POST /reopen_logs HTTP/1.1\r\nhost: admin\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
            await reader.read()
