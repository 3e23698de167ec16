# SPDX-License-Identifier: Apache-2.0
"""`tidegate up` and `tidegate down`: the life of one Tidegate on this machine. What runs is built by
`tidegate.embedded`."""

import os
import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tidegate.cli import connection, options, problems, progress, urls
from tidegate.model.text import syntax
from tidegate.settings import Settings

if TYPE_CHECKING:
    from tidegate.runfile import Endpoints

_DEFAULTS = Settings(Path())
_MOST_GATEWAYS = 16
_PORTS = {"http_port": "HTTP", "https_port": "HTTPS", "internal_port": "internal HTTP", "api_port": "the API"}
_RANGE = re.compile(r"(\d{1,10})-(\d{1,10})")
_MOST_USERS = 2**31  # as in the fields of a security context


def _port(name: str, default: int, what: str) -> options.Decorator:
    return click.option(
        name, type=options.PORT, metavar="PORT", show_default=_kept(default), help=f"{what}; 0: any free port."
    )


def _kept(default: object) -> str:
    return f"as at the last start, else {default}"


@click.command()
@_port("--http-port", _DEFAULTS.http_port, "Where apps answer")
@_port("--https-port", _DEFAULTS.https_port, "Where apps answer over TLS")
@_port("--internal-port", _DEFAULTS.internal_port, "Port for app-to-app traffic, on loopback only")
@_port("--api-port", _DEFAULTS.api_port, "Where the API answers")
@click.option(
    "--gateways",
    type=options.Whole(1, _MOST_GATEWAYS),
    metavar="N",
    show_default=_kept(_DEFAULTS.gateways),
    help="Envoys that share the ports and every app's instances.",
)
@click.option(
    "--domain",
    metavar="DOMAIN",
    show_default=_kept(_DEFAULTS.domain),
    help="The domain below which services have their hosts.",
)
@click.option("--app-users", metavar="FIRST-LAST", help="User ids for apps, one a namespace, where root starts it.")
@click.option("--allow-root-apps", is_flag=True, help="Let apps run as user or group 0 if they ask for it.")
@click.option("-d", "--detach", is_flag=True, help="Run in the background; return once started.")
@click.option(
    "--reset", is_flag=True, help="Set a state database that is damaged or gone aside; start without objects."
)
@options.data_dir
def up(
    app_users: str | None, allow_root_apps: bool, detach: bool, reset: bool, data_dir: Path | None, **named: Any
) -> None:
    """Start Tidegate: API, controllers and gateway, until Ctrl-C or `tidegate down`."""
    if named["domain"] is not None and syntax.dns_1123_subdomain(named["domain"]):
        raise problems.Misuse(f'--domain: "{named["domain"]}" is not a domain name in lower case')
    if os.geteuid() != 0 and (app_users or allow_root_apps):
        raise problems.Misuse("--app-users and --allow-root-apps take root: other users run apps as themselves")
    users = _app_users(app_users) if app_users is not None else None
    settings = replace(_settings(connection.home(data_dir), named), app_users=users, allow_root_apps=allow_root_apps)
    from tidegate import home

    running = home.holder(settings) or home.keeper_of(settings)
    if running is not None and running.pid != os.getppid():  # else the keeper has started us
        raise problems.Problem(home.already_runs(settings, running))
    if reset:
        _reset(settings)
    if detach:
        from tidegate.cli import background

        with (
            problems.interruptible(lambda: "Tidegate had not finished starting and was stopped"),
            progress.shown() as tell,
        ):
            record = background.start(settings, tell)
        _tell_started(settings, record.endpoints)
        return
    from tidegate import embedded  # every part of it, which other commands need not wait for

    try:
        embedded.run(settings, lambda endpoints: _tell_started(settings, endpoints))
    except embedded.StartError as error:
        raise (problems.Damaged if error.is_final else problems.Problem)(str(error)) from error


def _settings(folder: Path, named: dict[str, Any]) -> Settings:
    """What is named; what is not, as it was at the last start."""
    from tidegate.runfile import read_choices

    last = read_choices(Settings(folder))
    before = asdict(last) if last is not None else {}
    settings = Settings(
        folder,
        **{
            name: before.get(name, default) if (value := named[name]) is None else value
            for name, default in asdict(_DEFAULTS).items()
            if name in named
        },
    )
    for name, what in _PORTS.items():
        old, new = before.get(name), getattr(settings, name)
        if old is not None and new not in (old, 0):
            problems.remark(f"{what} moves from port {old} to port {new}")
    return settings


def _reset(settings: Settings) -> None:
    from tidegate import home

    try:
        aside = home.reset(settings)
    except home.HomeError as error:
        raise problems.Problem(str(error)) from error
    if aside is not None:
        problems.remark(f"the old state database is now {aside}")


def _app_users(text: str) -> range:
    found = _RANGE.fullmatch(text)
    if found is None or not 0 < int(found[1]) <= int(found[2]) < _MOST_USERS:
        raise problems.Misuse(f'--app-users: "{text}" is not FIRST-LAST, user ids from 1 to {_MOST_USERS - 1}')
    return range(int(found[1]), int(found[2]) + 1)


def _tell_started(settings: Settings, endpoints: "Endpoints") -> None:
    apps = f"http://NAME.NAMESPACE.{settings.domain}:{urls.port_of(endpoints.http)}"
    for title, value in (
        ("Apps", apps),
        ("HTTPS", endpoints.https),
        ("Internal", endpoints.internal),
        ("API", endpoints.api),
        ("Kubeconfig", settings.kubeconfig),
    ):
        click.echo(f"{title:<12}{value}")
    if hint := urls.hint(apps):
        problems.remark(hint)


@click.command()
@options.data_dir
def down(data_dir: Path | None) -> None:
    """Stop Tidegate, its gateway and all instances."""
    from tidegate.cli import background

    with problems.interruptible(lambda: "Tidegate is still stopping: `tidegate down` waits for it again"):
        told = background.stop(Settings(connection.home(data_dir)))
    click.echo(told)
