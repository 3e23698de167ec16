# SPDX-License-Identifier: Apache-2.0
"""The URL of a Service from this machine: with the gateway's port, and with a hint for programs that cannot resolve its
host."""

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
    """The URL of a Service; "" before it has one."""
    return reachable(str(objects.status(service).get("url") or ""), data_dir)


def reachable(url: str, data_dir: Path | None) -> str:
    """A URL from an object's status, with the port of the gateway."""
    from tidegate.runfile import read_record

    record = read_record(Settings(connection.home(data_dir))) if url else None
    return with_port(url, record.endpoints) if record is not None else url


def with_port(url: str, endpoints: "Endpoints") -> str:
    """The URL with the gateway's port, unless it has a port or the gateway listens on the scheme's default port."""
    parts = urllib.parse.urlsplit(url)
    port = port_of(_endpoint(parts, endpoints))
    if not parts.netloc or parts.port is not None or port == _DEFAULT_PORTS[parts.scheme]:
        return url
    return parts._replace(netloc=f"{parts.hostname}:{port}").geturl()


def _endpoint(parts: urllib.parse.SplitResult, endpoints: "Endpoints") -> str:
    if (parts.hostname or "").endswith(f".{LOCAL_DOMAIN}"):
        return endpoints.internal
    return endpoints.https if parts.scheme == "https" else endpoints.http


def port_of(url: str) -> int:
    parts = urllib.parse.urlsplit(url)
    return parts.port or _DEFAULT_PORTS[parts.scheme]


def hint(url: str) -> str:
    """How programs on this machine reach a URL whose host they cannot resolve; "" if they can."""
    parts = urllib.parse.urlsplit(url)
    host = parts.hostname or ""
    if not host or host.endswith(f".{LOCAL_DOMAIN}") or _resolves(host):
        return ""
    who = "only curl and browsers resolve" if host.endswith(".localhost") else "no name server resolves"
    return f'{who} {host}; other programs: {parts.scheme}://127.0.0.1:{port_of(url)} with the header "Host: {host}"'


def _resolves(host: str) -> bool:
    """Whether the C library resolves a host, as most programs do. The look-up may need a name server that does not
    answer, so its time is limited."""
    found: list[bool] = []

    def look_up() -> None:
        with suppress(OSError):
            found.append(bool(socket.getaddrinfo(host, None)))

    asking = threading.Thread(target=look_up, daemon=True)
    asking.start()
    asking.join(_LOOKUP_SECONDS)
    return bool(found)
