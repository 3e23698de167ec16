# SPDX-License-Identifier: Apache-2.0
"""The record of an Envoy process in its folder, by which the next control plane adopts the process.

In, out: `record.json`. Called by: `envoy.py` (writes), `envoys.py`, `processes.py` (read).
"""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tidegate.gateway.envoys.handover import Generation
from tidegate.gateway.envoys.ports import EnvoyPorts
from tidegate.kit.files import write_whole
from tidegate.kit.processes import Process

_RECORD = "record.json"


@dataclass(frozen=True, slots=True)
class EnvoyRecord:
    """The Envoy that was started last; it may have ended. `fingerprint`: of its `EnvoySpec`. `generation`: None for a
    process that cannot hand over. `retiring`: earlier processes, which may still have requests."""

    process: Process
    http_port: int
    https_port: int
    internal_port: int
    fingerprint: str
    generation: Generation | None = None
    retiring: tuple[Process, ...] = ()

    @property
    def ports(self) -> EnvoyPorts:
        return EnvoyPorts(self.http_port, self.https_port, self.internal_port)


def read_record(folder: Path) -> EnvoyRecord | None:
    """The record in one Envoy's folder; None if it is missing or damaged."""
    with suppress(FileNotFoundError, msgspec.DecodeError):
        return msgspec.json.decode((folder / _RECORD).read_bytes(), type=EnvoyRecord)
    return None


def write_record(folder: Path, record: EnvoyRecord) -> None:
    write_whole(folder / _RECORD, msgspec.json.encode(record))
