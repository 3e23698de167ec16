# SPDX-License-Identifier: Apache-2.0
"""Starts one Envoy process, in a session of its own, and keeps its log.

In: an `EnvoySpec`, and the process's place in a line of hot restarts. Out: an `EnvoyProcess`. Called by: `envoy.py`;
`gateway/gateway.py` reads the log.
"""

import os
import resource
import secrets
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tidegate.gateway.envoys.handover import Generation
from tidegate.gateway.envoys.spec import BOOTSTRAP, EnvoySpec
from tidegate.kit.files import open_log, write_whole
from tidegate.kit.processes import Process

LOG_BYTES = 4 * 1024 * 1024
"""A start begins a new log if the log is larger than this, and keeps the old one as envoy.log.1."""

_LOG = "envoy.log"


@dataclass(slots=True)
class EnvoyProcess:
    """A process that may serve. `gateway`: the id by which the control plane knows it. `child`: None if an earlier
    control plane started it."""

    process: Process
    gateway: str
    generation: Generation | None = None
    child: "subprocess.Popen[bytes] | None" = None

    def reap(self) -> None:
        """Collect the exit status. To be called once the process has ended."""
        if self.child is not None:
            self.child.wait()
            self.child = None


def launch(spec: EnvoySpec, generation: Generation | None) -> EnvoyProcess:
    """Start Envoy; without a generation, without hot restart."""
    gateway = f"gateway-{spec.number}-{secrets.token_hex(4)}"
    _write_bootstrap(spec)
    options = generation.options(spec.handover_sockets) if generation is not None else ["--disable-hot-restart"]
    with open_log(_rotated_log(spec.folder)) as output, _sigterm_blocked():
        child = subprocess.Popen(  # noqa: S603 - without a shell
            [*spec.command, *options, "--service-node", gateway],
            env={
                "TIDEGATE_GATEWAY": gateway,
                "PATH": os.environ.get("PATH", os.defpath),
                "ENVOY_DYNAMIC_MODULES_SEARCH_PATH": str(spec.library.parent),
            },
            cwd=spec.folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            umask=0o077,  # of the access log
        )
    # A child that has already ended has no start time, but nothing else gets its pid until the child is reaped.
    process = Process.of(child.pid) or Process(child.pid, 0)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (most, most))
    return EnvoyProcess(process, gateway, generation, child)


def last_line(folder: Path) -> str:
    """The last line of the log in that folder; "" without a log."""
    return log_tail(folder).rpartition("\n")[2]


def log_tail(folder: Path) -> str:
    """The last 5 lines of the log in that folder."""
    with suppress(FileNotFoundError), (folder / _LOG).open("rb") as file:
        file.seek(max(os.fstat(file.fileno()).st_size - 4096, 0))
        return "\n".join(file.read().decode(errors="replace").splitlines()[-5:])
    return ""


def _rotated_log(folder: Path) -> Path:
    log = folder / _LOG
    if log.exists() and log.stat().st_size > LOG_BYTES:
        log.replace(log.with_name(f"{_LOG}.1"))
    return log


def _write_bootstrap(spec: EnvoySpec) -> None:
    """An unchanged file is not written: the disk may be full."""
    file, content = spec.folder / BOOTSTRAP, msgspec.json.format(msgspec.json.encode(spec.bootstrap))
    if not file.exists() or file.read_bytes() != content:
        write_whole(file, content)


@contextmanager
def _sigterm_blocked() -> Iterator[None]:
    """A child that is started meanwhile has SIGTERM blocked for all its life."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
