# SPDX-License-Identifier: Apache-2.0
"""The file by which the next control plane finds the processes of a Pod: `record.json` in the Pod's folder.

In: the process of each container, its port, the boot of the host. Out: the same after a restart of the control plane;
nothing after a restart of the host, because no process is left then.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import msgspec

from tidegate.kit.files import write_whole
from tidegate.kit.processes import Process
from tidegate.node.runtime import Limits
from tidegate.node.runtimes.process.confinement import Confinement
from tidegate.node.runtimes.process.launcher import Orders, Place
from tidegate.node.runtimes.process.spec import ProcessSpec, owner

RECORD = "record.json"
_BOOT = Path("/proc/sys/kernel/random/boot_id")


class Run(msgspec.Struct, frozen=True):
    """How the programs of a container are started: its own, and programs beside it. `sandbox`: bubblewrap with its
    arguments, empty without a sandbox."""

    environment: dict[str, str]
    directory: str
    confinement: Confinement
    limits: Limits
    sandbox: tuple[str, ...] = ()

    def orders(self, program: Sequence[str], *, beside: int = 0) -> Orders:
        """`beside`: the process that leads the container, for a program beside its own."""
        place = Place(self.sandbox)
        if beside:
            place = Place(beside=beside if self.sandbox else 0)
        return Orders(program, self.environment, Path(self.directory), self.confinement, place)


class InstanceRecord(msgspec.Struct, frozen=True):
    """What adopting a Pod's containers takes. `boot`: the boot of the host that the processes belong to; `containers`:
    the process that leads each."""

    boot: str
    port: int
    containers: dict[str, Process]
    runs: dict[str, Run] = {}

    @property
    def lives(self) -> bool:
        return any(process.alive for process in self.containers.values())

    def leaders(self, pod: str) -> dict[str, Process]:
        """The processes by the owner names of the containers of `pod`."""
        return {owner(pod, name): process for name, process in self.containers.items()}


def read_record(folder: Path) -> InstanceRecord | None:
    """The record in a Pod's folder, if it is of this boot and complete."""
    try:
        record = msgspec.json.decode((folder / RECORD).read_bytes(), type=InstanceRecord)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, msgspec.DecodeError):
        return None
    return record if record.boot == boot() else None


def write_record(folder: Path, record: InstanceRecord) -> None:
    """Replace the record atomically. It is not synced: after a crash of the host no process is left to adopt."""
    write_whole(folder / RECORD, msgspec.json.encode(record))


def extended(before: InstanceRecord | None, spec: ProcessSpec, run: Run, process: Process) -> InstanceRecord:
    """The record of a Pod after one more of its containers was started."""
    containers = {**(before.containers if before else {}), spec.container: process}
    runs = {**(before.runs if before else {}), spec.container: run}
    return InstanceRecord(boot(), spec.port or (before.port if before else 0), containers, runs)


@cache
def boot() -> str:
    """The number of this boot of the host."""
    return _BOOT.read_text().strip()
