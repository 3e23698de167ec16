# SPDX-License-Identifier: Apache-2.0
"""What a running Tidegate tells of itself, in one file of its state folder: so that a command line finds it, and the
next start knows which ports the last one had."""

from dataclasses import dataclass

import msgspec

from tidegate.config import Settings
from tidegate.kit.files import write_whole
from tidegate.kit.processes import Process


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where it is reached, as URLs. `internal`: where apps reach each other."""

    http: str
    https: str
    internal: str
    api: str


@dataclass(frozen=True, slots=True)
class Record:
    """One run of the control plane."""

    process: Process
    endpoints: Endpoints
    http_port: int
    https_port: int
    internal_port: int
    api_port: int

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process.alive


def read_record(settings: Settings) -> Record | None:
    """What the last Tidegate in this state folder told, whether or not it is alive; None where none ever ran."""
    try:
        return msgspec.json.decode(settings.record.read_bytes(), type=Record)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def write_record(settings: Settings, record: Record) -> None:
    write_whole(settings.record, msgspec.json.encode(record))
