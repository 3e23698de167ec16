# SPDX-License-Identifier: Apache-2.0
"""Two files about a start of Tidegate, in the state folder.

The `RunRecord` of the running Tidegate is how a command line finds it. The `Choices` of the last start are the defaults
of the next one. If the choices cannot be read, the record of a killed Tidegate has the same values.
Called by: `embedded.py`, which writes both; the command line, which reads them.
"""

from contextlib import suppress
from dataclasses import dataclass

import msgspec

from tidegate.kit.files import write_whole
from tidegate.settings import Settings


@dataclass(frozen=True, slots=True)
class Endpoints:
    """URLs. `internal`: the listener for requests from app to app."""

    http: str
    https: str
    internal: str
    api: str


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run of the control plane. The lock of the state folder has its process (`home.holder`)."""

    endpoints: Endpoints
    http_port: int
    https_port: int
    internal_port: int
    api_port: int
    domain: str = "localhost"
    gateways: int = 1


def read_record(settings: Settings) -> RunRecord | None:
    """The record of the Tidegate that runs in this state folder or was killed; None if there is none."""
    try:
        return msgspec.json.decode(settings.record.read_bytes(), type=RunRecord)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


@dataclass(frozen=True, slots=True)
class Choices:
    """The settings that the next start keeps, with the ports that were bound."""

    http_port: int
    https_port: int
    internal_port: int
    api_port: int
    domain: str
    gateways: int


def read_choices(settings: Settings) -> Choices | None:
    """The choices of the last start; None if there was none, or if its files cannot be read."""
    written = _written_choices(settings)
    record = read_record(settings) if written is None else None
    return choices_of(record) if record is not None else written


def choices_of(record: RunRecord) -> Choices:
    """The choices of one run."""
    ports = record.http_port, record.https_port, record.internal_port, record.api_port
    return Choices(*ports, record.domain, record.gateways)


def _written_choices(settings: Settings) -> Choices | None:
    with suppress(OSError, msgspec.DecodeError):
        return msgspec.json.decode(settings.choices.read_bytes(), type=Choices)
    return None


def write_choices(settings: Settings, choices: Choices) -> None:
    """Write the choices durably, unless the file has them already."""
    if choices != _written_choices(settings):
        write_whole(settings.choices, msgspec.json.encode(choices), durable=True)


def write_record(settings: Settings, record: RunRecord) -> None:
    """Write the record, unless the file has it already."""
    if record != read_record(settings):
        write_whole(settings.record, msgspec.json.encode(record))
