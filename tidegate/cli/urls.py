# SPDX-License-Identifier: Apache-2.0
"""Where a Service is reached from this machine: its URL, with the gateway's port where the URL itself names none, and
what a program needs that does not find its host by name."""

import socket
import threading
import urllib.parse
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tidegate.cli import connection
from tidegate.model import objects
from tidegate.model.names import LOCAL_DOMAIN
from tidegate.model.objects import Object
from tidegate.settings import Settings

if TYPE_CHECKING:
    from tidegate.runfile import Endpoints

_DEFAULT_PORTS = {"http": 80, "https": 443}
_LOOKUP_SECONDS = 1.0


def of_service(service: Object, data_dir: Path | None) -> str:
    """The URL of a Service; "" while it has none."""
    return reachable(str(objects.status(service).get("url") or ""), data_dir)


def reachable(url: str, data_dir: Path | None) -> str:
    """A URL from an object's status, as this machine reaches it."""
    from tidegate.runfile import read_record

    record = read_record(Settings(connection.home(data_dir))) if url else None
    return with_port(url, record.endpoints) if record is not None else url


def with_port(url: str, endpoints: "Endpoints") -> str:
    """The URL, with the port that the gateway listens on where it has none and that is not the scheme's own."""
    parts = urllib.parse.urlsplit(url)
    port = port_of(_door(parts, endpoints))
    if not parts.netloc or parts.port is not None or port == _DEFAULT_PORTS[parts.scheme]:
        return url
    return parts._replace(netloc=f"{parts.hostname}:{port}").geturl()


def _door(parts: urllib.parse.SplitResult, endpoints: "Endpoints") -> str:
    if (parts.hostname or "").endswith(f".{LOCAL_DOMAIN}"):
        return endpoints.internal
    return endpoints.https if parts.scheme == "https" else endpoints.http


def port_of(url: str) -> int:
    parts = urllib.parse.urlsplit(url)
    return parts.port or _DEFAULT_PORTS[parts.scheme]


def hint(url: str) -> str:
    """How programs on this machine reach a URL whose host they do not find; "" where they find it."""
    parts = urllib.parse.urlsplit(url)
    host = parts.hostname or ""
    if not host or host.endswith(f".{LOCAL_DOMAIN}") or _is_found(host):
        return ""
    some = "only curl and browsers find" if host.endswith(".localhost") else "no name server knows"
    return f'{some} {host}; other programs: {parts.scheme}://127.0.0.1:{port_of(url)} with the header "Host: {host}"'


def _is_found(host: str) -> bool:
    """Whether the C library has an address for it, as most programs ask. It may have to ask a name server that is out
    of reach, which nobody waits for."""
    found: list[bool] = []

    def look_up() -> None:
        with suppress(OSError):
            found.append(bool(socket.getaddrinfo(host, None)))

    asking = threading.Thread(target=look_up, daemon=True)
    asking.start()
    asking.join(_LOOKUP_SECONDS)
    return bool(found)
