# SPDX-License-Identifier: Apache-2.0
"""The Envoy processes of one state folder, found without a control plane.

In: the folder. Out: the processes, by their command lines: a process without a record counts too. Called by:
`envoys.py`, `tidegate status` (`serving`), `tidegate down` without a control plane (`running`, `end`).
"""

import asyncio
import os
import signal
from collections.abc import Iterable
from pathlib import Path

from tidegate.gateway.envoys.record import EnvoyRecord, read_record
from tidegate.gateway.envoys.spec import BOOTSTRAP
from tidegate.kit.processes import Process

GRACE_SECONDS = 5.0
"""From SIGINT to SIGKILL."""


def running(folder: Path) -> list[Process]:
    """Every Envoy of that folder."""
    return list(find(folder))


def serving(folder: Path) -> list[Process]:
    """The Envoys that run and do not retire, in the order of their ids. An Envoy whose record could not be written,
    e.g. on a full disk, counts too."""
    retiring = {process for record in _records(folder) for process in record.retiring}
    found = find(folder)
    return [process for process in sorted(found, key=found.__getitem__) if process not in retiring]


def recorded(folder: Path) -> list[EnvoyRecord]:
    """The records whose processes run."""
    found = find(folder)
    return [record for record in _records(folder) if record.process in found]


async def end(folder: Path) -> None:
    """End every Envoy of that folder: SIGINT, and SIGKILL after 5 seconds."""
    await end_all(running(folder))
    for record in _records(folder):
        if record.generation is not None:
            record.generation.clear()


async def end_all(processes: Iterable[Process]) -> None:
    """End these processes: SIGINT, and SIGKILL after 5 seconds."""
    await asyncio.gather(*[process.end(GRACE_SECONDS, signal.SIGINT) for process in processes])


def find(folder: Path) -> dict[Process, str]:
    """Every Envoy of that folder, and its gateway id."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:  # it has ended meanwhile, or belongs to another user
            continue
        if arguments[0].endswith(b"/envoy") and arguments[1:2] == [b"-c"]:
            bootstrap_file = Path(os.fsdecode(arguments[2]))
            process = Process.of(int(entry.name))
            if bootstrap_file.name == BOOTSTRAP and folder.absolute() in bootstrap_file.parents[:2] and process:
                found[process] = os.fsdecode(arguments[-2])  # the last one is empty
    return found


def _records(folder: Path) -> list[EnvoyRecord]:
    records = map(read_record, [folder, *sorted(folder.glob("[0-9]*"))])
    return [record for record in records if record is not None]
