# SPDX-License-Identifier: Apache-2.0
"""Where a Service is reached from this machine: its URL, with the gateway's port where the URL itself names none."""

import urllib.parse
from pathlib import Path

from tidegate.cli import connection
from tidegate.config import Settings
from tidegate.model import objects
from tidegate.model.objects import Object

_DEFAULT_PORT = 80


def of_service(service: Object, data_dir: Path | None) -> str:
    """The URL of a Service; "" while it has none."""
    from tidegate import app

    url = str(objects.status(service).get("url") or "")
    record = app.read_record(Settings(connection.home(data_dir)))
    return with_port(url, record.http_port) if url and record is not None else url


def with_port(url: str, port: int) -> str:
    parts = urllib.parse.urlsplit(url)
    if parts.port is not None or parts.scheme != "http" or port == _DEFAULT_PORT:
        return url
    return parts._replace(netloc=f"{parts.hostname}:{port}").geturl()
