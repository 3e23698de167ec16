# SPDX-License-Identifier: Apache-2.0
"""Rotates the Envoys' access logs (`xds/access.py`), so that they do not fill the disk: two files for each Envoy.

In: the path of each log, and the admin socket of the Envoy that writes it. Called by: `gateway.py`. Without request
logging there are no files, and nothing to do.
"""

from collections.abc import Mapping
from pathlib import Path

import structlog

from tidegate.gateway import envoy_admin
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
            await envoy_admin.request(admin_socket, "POST", "/reopen_logs")
        except envoy_admin.EnvoyAdminError as error:  # Envoy does not run: the next one opens a new file at its start
            _log.warning("cannot have Envoy reopen its access log", error=str(error))
