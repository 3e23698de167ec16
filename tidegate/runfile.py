# SPDX-License-Identifier: Apache-2.0
"""What Tidegate remembers of a start: the `RunRecord` of the one that runs, by which a command line finds it, and the
`Choices` of the last one, so that the next start goes on with what it does not name. Where these cannot be read, the
record of one that was killed says the same."""

from contextlib import suppress
from dataclasses import dataclass

import msgspec

from tidegate.kit.files import write_whole
from tidegate.settings import Settings


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where it is reached, as URLs. `internal`: where apps reach each other."""

    http: str
    https: str
    internal: str
    api: str


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run of the control plane; which process that is, its lock says (`home.holder`)."""

    endpoints: Endpoints
    http_port: int
    https_port: int
    internal_port: int
    api_port: int
    domain: str = "localhost"
    gateways: int = 1


def read_record(settings: Settings) -> RunRecord | None:
    """That of the Tidegate that runs in this state folder, or was killed there; None where there is none."""
    try:
        return msgspec.json.decode(settings.record.read_bytes(), type=RunRecord)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


@dataclass(frozen=True, slots=True)
class Choices:
    """What a start fixes, with the ports that it got."""

    http_port: int
    https_port: int
    internal_port: int
    api_port: int
    domain: str
    gateways: int


def read_choices(settings: Settings) -> Choices | None:
    """Those of the last start; None where there was none, or nothing that it wrote can be read."""
    written = _written_choices(settings)
    record = read_record(settings) if written is None else None
    return choices_of(record) if record is not None else written


def choices_of(record: RunRecord) -> Choices:
    """What that run was started with."""
    ports = record.http_port, record.https_port, record.internal_port, record.api_port
    return Choices(*ports, record.domain, record.gateways)


def _written_choices(settings: Settings) -> Choices | None:
    with suppress(OSError, msgspec.DecodeError):
        return msgspec.json.decode(settings.choices.read_bytes(), type=Choices)
    return None


def write_choices(settings: Settings, choices: Choices) -> None:
    """Durably, unless they are as they were."""
    if choices != _written_choices(settings):
        write_whole(settings.choices, msgspec.json.encode(choices), durable=True)


def write_record(settings: Settings, record: RunRecord) -> None:
    """Unless it is there."""
    if record != read_record(settings):
        write_whole(settings.record, msgspec.json.encode(record))
