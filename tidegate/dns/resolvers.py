# SPDX-License-Identifier: Apache-2.0
"""The name servers that this host uses, as /etc/resolv.conf names them now.

In: the file. Out: addresses, read again when the file has changed. Called by: `forwarder.py`.

A name server on a loopback address (systemd-resolved's 127.0.0.53) works too: this host asks it, not the Pod.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path

RESOLV_CONF = Path("/etc/resolv.conf")
_DEFAULT = ("127.0.0.1",)  # man 5 resolv.conf
_MOST = 3  # as in the C library
_MOST_BYTES = 64 * 1024


class HostResolvers:
    """The name servers in the file, in order. `excluded`: our own address, which would ask itself."""

    def __init__(self, excluded: str, path: Path = RESOLV_CONF, port: int = 53) -> None:
        self.port = port
        self._excluded = excluded
        self._path = path
        self._version: tuple[int, int, int] | None = None
        self._servers: Sequence[str] = _DEFAULT

    @property
    def servers(self) -> Sequence[str]:
        """The name servers now. Costs one `stat` unless the file has changed."""
        try:
            status = os.stat(self._path)  # noqa: PTH116 - for every query
            version = (status.st_ino, status.st_mtime_ns, status.st_size)
            if version != self._version:
                with self._path.open(errors="replace") as file:
                    named = [each for each in _named(file.read(_MOST_BYTES)) if each != self._excluded]
                self._servers, self._version = named[:_MOST] or _DEFAULT, version
        except OSError:
            self._servers, self._version = _DEFAULT, None
        return self._servers


def _named(text: str) -> Iterator[str]:
    for line in text.splitlines():
        match line.split():
            case ["nameserver", address, *_]:
                with suppress(ValueError):
                    yield str(ip_address(address))
