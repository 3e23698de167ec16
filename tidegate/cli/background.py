# SPDX-License-Identifier: Apache-2.0
"""A Tidegate in the background: its start under a keeper (`kit.keeper`), and its stop.

In: settings. Out: its record when the API and the gateway answer, and progress reports until then; or a
`CommandFailure` with the reason. Called by: `tidegate up --detach`, `tidegate down`, `tidegate demo`.
"""

import asyncio
import selectors
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress

from tidegate import home
from tidegate.cli import failures
from tidegate.cli.progress import ShowLine
from tidegate.kit import keeper
from tidegate.kit.files import open_log
from tidegate.runfile import RunRecord, read_record
from tidegate.settings import Settings

_START_SECONDS = 60.0
_STOP_SECONDS = 120.0
_EXIT_SECONDS = 5.0


def start(settings: Settings, report: ShowLine) -> RunRecord:
    """Start Tidegate and return when it serves. After a failure, none of its processes runs."""
    settings.sockets.mkdir(parents=True, exist_ok=True, mode=0o700)
    open_log(settings.log).close()  # fails here if the folder cannot be written
    python = [sys.executable, "-P", "-m"]  # -P: do not import from the current folder
    command = [*python, keeper.__name__, str(settings.sockets), str(settings.log)]
    process = subprocess.Popen(  # noqa: S603 (our own program)
        [*command, *python, "tidegate", "up", *_arguments(settings)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        _await_ready(process, settings, report)
    except BaseException:
        process.terminate()
        process.wait()
        raise
    record = read_record(settings)
    if record is None:
        raise failures.CommandFailure(
            f"Tidegate runs, but its record {settings.record} cannot be read: see {settings.log}"
        )
    return record


def _arguments(settings: Settings) -> list[str]:
    return [
        f"--data-dir={settings.home}",
        f"--http-port={settings.http_port}",
        f"--https-port={settings.https_port}",
        f"--internal-port={settings.internal_port}",
        f"--api-port={settings.api_port}",
        f"--domain={settings.domain}",
        f"--gateways={settings.gateways}",
        *([f"--app-users={settings.app_users[0]}-{settings.app_users[-1]}"] if settings.app_users else ()),
        *(["--allow-root-apps"] if settings.allow_root_apps else ()),
        *([f"--oci-runtime={settings.oci_runtime}"] if settings.oci_runtime else ()),
        *([f"--pod-cidr={settings.pod_cidr}"] if settings.pod_cidr else ()),
        *(["--pod-metadata"] if settings.pod_metadata else ()),
        f"--sandbox={settings.sandbox}",
    ]


def _await_ready(process: "subprocess.Popen[bytes]", settings: Settings, report: ShowLine) -> None:
    """Read the keeper's reports until the program is ready."""
    status = ""
    for line in _lines(process, time.monotonic() + _START_SECONDS):
        event, _, text = line.partition("=")
        if event == "READY":
            return
        if event == "HELD":
            raise failures.CommandFailure(home.already_runs(settings, home.keeper_of(settings)))
        if event == "FAILED":
            code = process.wait()
            raise (failures.Damaged if code == keeper.DO_NOT_RESTART else failures.CommandFailure)(text)
        if text != status:
            status = text
            report(text)
    with suppress(subprocess.TimeoutExpired):  # after its last line it exits in a moment
        if code := process.wait(_EXIT_SECONDS):
            raise failures.CommandFailure(f"Tidegate exited with {code}: see {settings.log}")
        raise failures.CommandFailure("Tidegate was stopped while it started")
    last = f": {status}" if status else ""
    raise failures.CommandFailure(f"Tidegate did not start within {_START_SECONDS:.0f} s{last}; see {settings.log}")


def _lines(process: "subprocess.Popen[bytes]", deadline: float) -> Iterator[str]:
    """The lines of its output, until it exits or until the deadline."""
    output = process.stdout
    if output is None:
        return
    rest = b""
    with output, selectors.DefaultSelector() as selector:
        selector.register(output, selectors.EVENT_READ)
        while (left := deadline - time.monotonic()) > 0:
            if not selector.select(left):
                continue
            chunk = output.read1(4096)  # type: ignore[attr-defined]  # a BufferedReader
            if not chunk:
                return
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                yield line.decode(errors="replace")


def stop(settings: Settings) -> str:
    """Stop the Tidegate of a state folder, or processes that a killed one left. Returns a message for the user."""
    from tidegate import embedded

    keeping, running = home.keeper_of(settings), home.holder(settings)
    process = running or keeping
    if process is not None:
        failures.remark(f"stopping Tidegate in {settings.home} (process {process.pid})")
    for each in (keeping, running):  # the keeper first: it would restart the control plane
        if each is not None:
            asyncio.run(each.end(_STOP_SECONDS))
    left = embedded.end(settings)
    if process is not None:
        return f"Tidegate in {settings.home} is stopped"
    if left:
        return f"Tidegate in {settings.home} had been killed; its gateway and instances are stopped"
    return f"Tidegate is not running in {settings.home}"
