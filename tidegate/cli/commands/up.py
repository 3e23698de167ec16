# SPDX-License-Identifier: Apache-2.0
"""`tidegate up`: start one Tidegate on this machine. `tidegate.embedded` builds and runs its parts."""

import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tidegate.cli import connection, failures, options, progress, urls
from tidegate.settings import Settings

if TYPE_CHECKING:
    from ipaddress import IPv4Network

    from tidegate.runfile import Endpoints

_DEFAULTS = Settings(Path())
_MAX_GATEWAYS = 16
_PORTS = {"http_port": "HTTP", "https_port": "HTTPS", "internal_port": "internal HTTP", "api_port": "the API"}


@dataclass(frozen=True, slots=True)
class StartOptions:
    """Settings that a later start keeps; None: not named."""

    http_port: int | None
    https_port: int | None
    internal_port: int | None
    api_port: int | None
    gateways: int | None
    domain: str | None


@dataclass(frozen=True, slots=True)
class AppOptions:
    """Users of apps, the OCI runtime and the network of Pods, if root runs Tidegate, and the sandboxes of apps."""

    app_users: range | None
    allow_root_apps: bool
    oci_runtime: Path | None
    pod_cidr: "IPv4Network | None"
    pod_metadata: bool
    sandbox: str


def _kept(default: object) -> str:
    return f"the value of the last start, at first {default}"


def _port(name: str, default: int, use: str) -> options.Decorator:
    return click.option(
        name,
        type=options.PORT,
        metavar="PORT",
        show_default=_kept(default),
        help=f"Port for {use}; 0 takes any free port.",
    )


@click.command()
@options.record(
    "start",
    StartOptions,
    _port("--http-port", _DEFAULTS.http_port, "HTTP requests to apps"),
    _port("--https-port", _DEFAULTS.https_port, "HTTPS requests to apps"),
    _port("--internal-port", _DEFAULTS.internal_port, "app-to-app traffic, loopback only"),
    _port("--api-port", _DEFAULTS.api_port, "the API, loopback only"),
    click.option(
        "--gateways",
        type=options.WholeNumber(1, _MAX_GATEWAYS),
        metavar="N",
        show_default=_kept(_DEFAULTS.gateways),
        help="Number of Envoys; they share the ports and every app's instances.",
    ),
    click.option(
        "--domain",
        metavar="DOMAIN",
        callback=options.parsed(options.domain_name),
        show_default=_kept(_DEFAULTS.domain),
        help="Domain of services: a service has the host NAME.NAMESPACE.DOMAIN.",
    ),
)
@options.record(
    "apps",
    AppOptions,
    click.option(
        "--app-users",
        metavar="FIRST-LAST",
        callback=options.parsed(options.user_range),
        help="Range of user ids for apps, one id for each namespace; only as root.",
    ),
    click.option("--allow-root-apps", is_flag=True, help="Let apps run as user or group 0 on request; only as root."),
    click.option(
        "--oci-runtime",
        type=click.Path(path_type=Path),
        metavar="PATH",
        help="Program that makes containers of OCI images; only as root.  [default: crun if it works here, else runc]",
    ),
    click.option(
        "--pod-cidr",
        metavar="SUBNET",
        callback=options.parsed(options.pod_subnet),
        help="Subnet of the addresses of Pods, e.g. 10.208.0.0/20; only as root.  [default: the one of the last start, "
        "at first one that the routes of this host leave free]",
    ),
    click.option(
        "--pod-metadata",
        is_flag=True,
        help="Let Pods reach link-local addresses, e.g. a cloud's metadata server; only as root.",
    ),
    click.option(
        "--sandbox",
        type=click.Choice(["auto", "required", "none"]),
        default=_DEFAULTS.sandbox,
        show_default=True,
        help="Sandboxes of apps that run as processes: where this host can make them, for every app, or none.",
    ),
)
@click.option("-d", "--detach", is_flag=True, help="Run in the background; return when the API and the gateway answer.")
@click.option(
    "--reset",
    is_flag=True,
    help="Rename a damaged or empty state database to state.db.old and start without objects.",
)
@options.data_dir
def up(start: StartOptions, apps: AppOptions, detach: bool, reset: bool, data_dir: Path | None) -> None:
    """Start Tidegate: API, controllers and gateway, until Ctrl-C or `tidegate down`."""
    if os.geteuid() != 0 and (apps.app_users or apps.allow_root_apps):
        raise failures.Misuse("--app-users and --allow-root-apps need root: without root, apps run as your own user")
    if os.geteuid() != 0 and apps.oci_runtime:
        raise failures.Misuse("--oci-runtime needs root: without root, there are no containers of OCI images")
    if os.geteuid() != 0 and (apps.pod_cidr or apps.pod_metadata):
        raise failures.Misuse("--pod-cidr and --pod-metadata need root: without root, Pods have no network")
    settings = replace(_settings(connection.home(data_dir), start), **asdict(apps))
    from tidegate import home

    running = home.holder(settings) or home.keeper_of(settings)
    if running is not None and running.pid != os.getppid():  # our parent may be the keeper that starts us
        raise failures.CommandFailure(home.already_runs(settings, running))
    if reset:
        _reset(settings)
    if detach:
        _start_detached(settings)
        return
    from tidegate import embedded  # imports every part; other commands do not need it

    try:
        embedded.run(settings, lambda endpoints: _print_endpoints(settings, endpoints))
    except embedded.StartError as error:
        raise (failures.Damaged if error.is_final else failures.CommandFailure)(str(error)) from error


def _start_detached(settings: Settings) -> None:
    from tidegate.cli import background

    state = "Tidegate had not finished starting and was stopped"
    with failures.interruptible(lambda: state), progress.shown() as report:
        record = background.start(settings, report)
    _print_endpoints(settings, record.endpoints)


def _settings(folder: Path, start: StartOptions) -> Settings:
    """The named settings; for others the values of the last start."""
    from tidegate.runfile import read_choices

    last = read_choices(Settings(folder))
    before = asdict(last) if last is not None else {}
    named = {name: value for name, value in asdict(start).items() if value is not None}
    settings = Settings(folder, **{**before, **named})
    for name, use in _PORTS.items():
        old, new = before.get(name), getattr(settings, name)
        if old is not None and new not in (old, 0):
            failures.remark(f"{use} moves from port {old} to port {new}")
    return settings


def _reset(settings: Settings) -> None:
    from tidegate import home

    try:
        aside = home.reset(settings)
    except home.HomeError as error:
        raise failures.CommandFailure(str(error)) from error
    if aside is not None:
        failures.remark(f"the old state database is now {aside}")


def _print_endpoints(settings: Settings, endpoints: "Endpoints") -> None:
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
        failures.remark(hint)
