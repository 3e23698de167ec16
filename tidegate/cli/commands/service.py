# SPDX-License-Identifier: Apache-2.0
"""`tidegate service`: Tidegate as a unit of systemd, which starts it at boot and after a crash."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import click

from tidegate.cli import connection, failures, options, units
from tidegate.settings import Settings


@click.group()
def service() -> None:
    """Run Tidegate as a systemd service: as root a system service, else a service of your user."""


@service.command()
@click.option("--print", "printed", is_flag=True, help="Print the unit without installing it.")
@options.data_dir
def install(printed: bool, data_dir: Path | None) -> None:
    """Install the unit, start it, and enable it for every boot."""
    user = os.geteuid() != 0
    settings = Settings(connection.home(data_dir))
    text = units.unit(settings, user=user)
    if printed:
        click.echo(text, nl=False)
        return
    _require_systemd()
    from tidegate import home

    running = home.holder(settings)
    if running is not None:
        raise failures.CommandFailure(f"{home.already_runs(settings, running)}: stop it with `tidegate down` first")
    place = units.place(user=user)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)
    _run(units.systemctl("daemon-reload", user=user))
    _run(units.systemctl("enable", "--now", units.NAME, user=user))
    click.echo(f"{place} runs Tidegate in {settings.home}")
    if user:
        failures.remark("The service stops when you log out, unless you run: loginctl enable-linger")


@service.command()
def uninstall() -> None:
    """Stop the service and its apps, and remove the unit. The state folder stays."""
    user = os.geteuid() != 0
    place = _installed(user=user)
    _run(units.systemctl("disable", "--now", units.NAME, user=user))
    place.unlink()
    _run(units.systemctl("daemon-reload", user=user))
    click.echo(f"{place} is removed")


@service.command()
def status() -> None:
    """Show the status of the service from systemd. Exits with 3 if it does not run, as systemctl does."""
    user = os.geteuid() != 0
    _installed(user=user)
    done = subprocess.run(  # noqa: S603 (no shell)
        units.systemctl("status", "--no-pager", units.NAME, user=user), check=False
    )
    click.get_current_context().exit(done.returncode)


def _require_systemd() -> None:
    if not units.RUNNING.is_dir():
        raise failures.CommandFailure(
            "systemd does not run on this machine: use `tidegate up --detach`, or print the unit with --print"
        )


def _installed(*, user: bool) -> Path:
    _require_systemd()
    place = units.place(user=user)
    if not place.exists():
        raise failures.CommandFailure(f"there is no {place}: `tidegate service install` writes it")
    return place


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 (no shell)
    if done.returncode != 0:
        raise failures.CommandFailure(f"{' '.join(command)}: {done.stderr.strip() or f'exit code {done.returncode}'}")
