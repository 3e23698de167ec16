# SPDX-License-Identifier: Apache-2.0
"""`tidegate up` and `tidegate down`: the life of one Tidegate on this machine. What runs is built by `tidegate.app`."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tidegate.cli import connection, options, problems, urls
from tidegate.config import Settings
from tidegate.kit.files import open_log
from tidegate.model import errors, kinds

if TYPE_CHECKING:
    from tidegate.record import Endpoints, Record

_DEFAULTS = Settings(Path())
_MOST_GATEWAYS = 16
_START_SECONDS = 60.0
_STOP_SECONDS = 120.0
_LOOK_SECONDS = 0.05
_RANGE = re.compile(r"(\d{1,10})-(\d{1,10})")
_MOST_USERS = 2**31  # as in the fields of a security context
_DOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


def _port(name: str, default: int, what: str) -> options.Decorator:
    return click.option(
        name, type=options.PORT, default=default, metavar="PORT", show_default=True, help=f"{what}; 0: any free port."
    )


@click.command()
@_port("--http-port", _DEFAULTS.http_port, "Where apps answer")
@_port("--https-port", _DEFAULTS.https_port, "Where apps answer over TLS")
@_port("--internal-port", _DEFAULTS.internal_port, "Port for app-to-app traffic, on loopback only")
@_port("--api-port", _DEFAULTS.api_port, "Where the API answers")
@click.option(
    "--gateways",
    type=click.IntRange(1, _MOST_GATEWAYS),
    default=_DEFAULTS.gateways,
    metavar="N",
    show_default=True,
    help="Envoys that share the ports and every app's instances.",
)
@click.option(
    "--domain",
    default=_DEFAULTS.domain,
    metavar="DOMAIN",
    show_default=True,
    help="The domain below which services have their hosts.",
)
@click.option("--app-users", metavar="FIRST-LAST", help="User ids for apps, one a namespace, where root starts it.")
@click.option("--allow-root-apps", is_flag=True, help="Let apps run as user or group 0 if they ask for it.")
@click.option("-d", "--detach", is_flag=True, help="Run in the background; return once started.")
@options.data_dir
def up(
    http_port: int,
    https_port: int,
    internal_port: int,
    api_port: int,
    gateways: int,
    domain: str,
    app_users: str | None,
    allow_root_apps: bool,
    detach: bool,
    data_dir: Path | None,
) -> None:
    """Start Tidegate: API, controllers and gateway, until Ctrl-C or `tidegate down`."""
    if not _DOMAIN.fullmatch(domain):
        raise problems.Misuse(f'--domain: "{domain}" is not a domain name in lower case')
    settings = Settings(
        connection.home(data_dir),
        http_port=http_port,
        https_port=https_port,
        internal_port=internal_port,
        api_port=api_port,
        domain=domain,
        gateways=gateways,
        app_users=_app_users(app_users) if app_users is not None else None,
        allow_root_apps=allow_root_apps,
    )
    if os.geteuid() != 0 and (app_users or allow_root_apps):
        raise problems.Misuse("--app-users and --allow-root-apps take root: other users run apps as themselves")
    from tidegate.record import read_record

    record = read_record(settings)
    if record is not None and record.alive:
        raise problems.Problem(f"Tidegate already runs in {settings.home} (process {record.pid})")
    if detach:
        with problems.interruptible(lambda: "Tidegate had not finished starting and was stopped"):
            record = start_detached(settings)
        _tell_started(settings, record.endpoints)
        return
    from tidegate import app  # every part of it, which other commands need not wait for

    try:
        app.run(settings, lambda endpoints: _tell_started(settings, endpoints))
    except app.StartError as error:
        raise problems.Problem(str(error)) from error


def _app_users(text: str) -> range:
    found = _RANGE.fullmatch(text)
    if found is None or not 0 < int(found[1]) <= int(found[2]) < _MOST_USERS:
        raise problems.Misuse(f'--app-users: "{text}" is not FIRST-LAST, user ids from 1 to {_MOST_USERS - 1}')
    return range(int(found[1]), int(found[2]) + 1)


def _tell_started(settings: Settings, endpoints: "Endpoints") -> None:
    port = urls.port_of(endpoints.http)
    for title, value in (
        ("Apps", f"http://NAME.NAMESPACE.{settings.domain}:{port}"),
        ("HTTPS", endpoints.https),
        ("Internal", endpoints.internal),
        ("API", endpoints.api),
        ("Kubeconfig", settings.kubeconfig),
    ):
        click.echo(f"{title:<12}{value}")


def start_detached(settings: Settings) -> "Record":
    """Start `tidegate up` in a session of its own, its output in the log, and return once it answers."""
    import asyncio

    settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    log = settings.home / "tidegate.log"
    options = (
        f"--data-dir={settings.home}",
        f"--http-port={settings.http_port}",
        f"--https-port={settings.https_port}",
        f"--internal-port={settings.internal_port}",
        f"--api-port={settings.api_port}",
        f"--domain={settings.domain}",
        f"--gateways={settings.gateways}",
        *([f"--app-users={settings.app_users[0]}-{settings.app_users[-1]}"] if settings.app_users else ()),
        *(["--allow-root-apps"] if settings.allow_root_apps else ()),
    )
    with open_log(log) as output:
        began = output.tell()
        process = subprocess.Popen(  # noqa: S603 (ourselves)
            [sys.executable, "-m", "tidegate", "up", *options],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        record = asyncio.run(_started(settings, process))
    except BaseException:
        process.terminate()
        process.wait()
        raise
    if record is None:
        raise problems.Problem(_last_line(log, began) or f"Tidegate ended with {process.returncode}: see {log}")
    return record


async def _started(settings: Settings, process: "subprocess.Popen[bytes]") -> "Record | None":
    """The record of the process once its API answers; None where it has ended."""
    import asyncio

    from tidegate.record import read_record

    try:
        async with asyncio.timeout(_START_SECONDS):
            while process.poll() is None:
                record = read_record(settings)
                if record is not None and record.pid == process.pid and await _answers(settings):
                    return record
                await asyncio.sleep(_LOOK_SECONDS)
    except TimeoutError as error:
        told = f"Tidegate did not start within {_START_SECONDS:.0f} s: see {settings.home}/tidegate.log"
        raise problems.Problem(told) from error
    return None


async def _answers(settings: Settings) -> bool:
    try:
        async with connection.connected(settings.home) as cluster:
            await cluster.list(kinds.NAMESPACE)
    except (errors.ApiError, problems.Problem):
        return False
    return True


def _last_line(log: Path, began: int) -> str:
    """What a Tidegate that ended said last, without the mark of its own failures."""
    lines = log.read_bytes()[began:].decode(errors="replace").strip().splitlines()
    return lines[-1].removeprefix("error: ") if lines else ""


@click.command()
@options.data_dir
def down(data_dir: Path | None) -> None:
    """Stop Tidegate, its gateway and all instances."""
    with problems.interruptible(lambda: "Tidegate is still stopping: `tidegate down` waits for it again"):
        told = stop(Settings(connection.home(data_dir)))
    click.echo(told)


def stop(settings: Settings) -> str:
    """End the Tidegate in a state folder, or what is left of it. Returns what there is to say."""
    import asyncio

    from tidegate import app
    from tidegate.record import read_record

    record = read_record(settings)
    runs = record is not None and record.alive
    if record is not None and runs:
        problems.remark(f"stopping Tidegate in {settings.home} (process {record.pid})")
        asyncio.run(record.process.end(_STOP_SECONDS))
    left = app.end(settings)
    if runs:
        return f"Tidegate in {settings.home} is stopped"
    if left:
        return f"Tidegate in {settings.home} had been killed; what it left is stopped"
    return f"Tidegate is not running in {settings.home}"
