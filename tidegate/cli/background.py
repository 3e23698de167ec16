# SPDX-License-Identifier: Apache-2.0
"""A Tidegate in the background: started under a keeper (`kit.keeper`), awaited, ended.

In: settings. Out: its record, once its API and its gateway answer, with what it does meanwhile; or a `Problem` with the
reason. Who: `tidegate up --detach`, `tidegate down` and `tidegate demo`.
"""

import asyncio
import selectors
import subprocess
import sys
import time
from collections.abc import Iterator

from tidegate import home
from tidegate.cli import problems
from tidegate.cli.progress import Tell
from tidegate.kit import keeper
from tidegate.kit.files import open_log
from tidegate.runfile import Record, read_record
from tidegate.settings import Settings

_START_SECONDS = 60.0
_STOP_SECONDS = 120.0


def start(settings: Settings, tell: Tell) -> Record:
    """Start it, and return once it serves. Where it cannot, nothing of it is left running."""
    settings.sockets.mkdir(parents=True, exist_ok=True, mode=0o700)
    open_log(settings.log).close()  # fails here where the folder cannot be written
    python = [sys.executable, "-P", "-m"]  # -P: not the Python files of the folder where the command is given
    command = [*python, keeper.__name__, str(settings.sockets), str(settings.log)]
    process = subprocess.Popen(  # noqa: S603 (ourselves)
        [*command, *python, "tidegate", "up", *_arguments(settings)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        _await_ready(process, settings, tell)
    except BaseException:
        process.terminate()
        process.wait()
        raise
    record = read_record(settings)
    if record is None:
        raise problems.Problem(f"Tidegate runs, but its record {settings.record} cannot be read: see {settings.log}")
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
    ]


def _await_ready(process: "subprocess.Popen[bytes]", settings: Settings, tell: Tell) -> None:
    """Follow what the keeper says until the program is ready."""
    doing = ""
    for line in _lines(process, time.monotonic() + _START_SECONDS):
        what, _, text = line.partition("=")
        if what == "READY":
            return
        if what == "HELD":
            raise problems.Problem(home.already_runs(settings, home.keeper_of(settings)))
        if what == "FAILED":
            code = process.wait()
            raise (problems.Damaged if code == keeper.USELESS else problems.Problem)(text)
        if text != doing:
            doing = text
            tell(text)
    if process.poll() is not None:
        raise problems.Problem(f"Tidegate ended with {process.returncode}: see {settings.log}")
    told = f": {doing}" if doing else ""
    raise problems.Problem(f"Tidegate did not start within {_START_SECONDS:.0f} s{told}; see {settings.log}")


def _lines(process: "subprocess.Popen[bytes]", deadline: float) -> Iterator[str]:
    """Each line of its output, until it ends or the deadline has come."""
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
    """End the Tidegate in a state folder, or what is left of it. Returns what there is to say."""
    from tidegate import embedded

    keeping, running = home.keeper_of(settings), home.holder(settings)
    process = running or keeping
    if process is not None:
        problems.remark(f"stopping Tidegate in {settings.home} (process {process.pid})")
    for each in (keeping, running):  # the keeper first, which would start it again
        if each is not None:
            asyncio.run(each.end(_STOP_SECONDS))
    left = embedded.end(settings)
    if process is not None:
        return f"Tidegate in {settings.home} is stopped"
    if left:
        return f"Tidegate in {settings.home} had been killed; what it left is stopped"
    return f"Tidegate is not running in {settings.home}"
