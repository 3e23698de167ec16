# SPDX-License-Identifier: Apache-2.0
"""The files of containers in the state folder, and the record by which the next control plane finds each container.

    oci/run/                            the state of the OCI runtime, one folder a container
    oci/pods/POD/pod/                   what the containers of a Pod share (`pod_sandbox.py`)
    oci/pods/POD/CONTAINER.RUN/         one run of a container
        tools.json                      the programs that make it, and will end it
        config.json, record.json        its configuration; its processes
        started                         when its program was started
        upper/, work/                   what it writes; removed with the run
        exits/ID                        its exit code, written by conmon

In: the name of a Pod and of its container. Out: paths, and a `ContainerRecord`. Called by: all modules that touch a
container.
"""

import re
import secrets
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tidegate.kit.boot import boot
from tidegate.kit.files import write_whole
from tidegate.kit.processes import Process
from tidegate.node.runtimes.oci.tools import Tools

_NAME = re.compile(r"([a-z0-9-]+)\.([0-9a-f]{8})", re.ASCII)


class ContainerRecord(msgspec.Struct, frozen=True):
    """`boot`: the boot of the host that the processes belong to; `init`: the container's first process; `monitor`:
    conmon; `started`: seconds since the epoch, 0 before its start; `storage`: how much it may write, as a quantity."""

    boot: str
    init: Process
    monitor: Process
    stop_signal: int = 15
    started: float = 0.0
    storage: str = ""


@dataclass(frozen=True, slots=True)
class ContainerFolder:
    """The folder of one run."""

    path: Path
    pod: str
    container: str

    @property
    def id(self) -> str:
        """The name of the container for the OCI runtime, also of its control group."""
        return f"{self.pod}.{self.path.name}"

    @property
    def config(self) -> Path:
        return self.path / "config.json"

    @property
    def exits(self) -> Path:
        return self.path / "exits"

    @property
    def messages(self) -> Path:
        """The file of the termination message."""
        return self.path / "termination-log"

    def tools(self) -> Tools | None:
        """None if the control plane died before it wrote them."""
        try:
            return msgspec.json.decode((self.path / "tools.json").read_bytes(), type=Tools)
        except (OSError, msgspec.DecodeError):
            return None

    def record(self) -> ContainerRecord | None:
        """None for a container that was not created completely, or before the last restart of this host."""
        try:
            record = msgspec.json.decode((self.path / "record.json").read_bytes(), type=ContainerRecord)
        except (OSError, msgspec.DecodeError):
            return None
        return msgspec.structs.replace(record, started=self._started()) if record.boot == boot() else None

    def write(self, record: ContainerRecord) -> None:
        """Not synced: after a crash of the host no process is left to adopt."""
        write_whole(self.path / "record.json", msgspec.json.encode(record))

    def note_start(self, seconds: float) -> None:
        """A new file: to replace one takes ext4 a millisecond, because it writes the data at once."""
        (self.path / "started").write_text(str(seconds))

    def _started(self) -> float:
        with suppress(OSError, ValueError):
            return float((self.path / "started").read_text())
        return 0.0


@dataclass(frozen=True, slots=True)
class Folders:
    """`base`: the folder of everything here."""

    base: Path

    @property
    def state(self) -> Path:
        """The OCI runtime's own state."""
        return self.base / "run"

    @property
    def pods(self) -> Path:
        return self.base / "pods"

    def pod(self, pod: str) -> Path:
        return self.pods / pod

    def new(self, pod: str, container: str, tools: Tools) -> ContainerFolder:
        """A folder for another run."""
        folder = ContainerFolder(self.pod(pod) / f"{container}.{secrets.token_hex(4)}", pod, container)
        folder.exits.mkdir(parents=True)
        write_whole(folder.path / "tools.json", msgspec.json.encode(tools))
        self.state.mkdir(exist_ok=True)
        return folder

    def known_pods(self) -> list[str]:
        return sorted(entry.name for entry in self.pods.iterdir()) if self.pods.is_dir() else []

    def of(self, pod: str) -> Iterator[ContainerFolder]:
        """The runs of all containers of a Pod, including the ones that are being removed."""
        if not self.pod(pod).is_dir():
            return
        for entry in sorted(self.pod(pod).iterdir()):
            if name := _NAME.fullmatch(entry.name):
                yield ContainerFolder(entry, pod, name[1])
