# SPDX-License-Identifier: Apache-2.0
"""`tidegate doctor`: check whether this host has all that Tidegate uses. `tidegate.doctor` has the checks."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tidegate.cli import columns, connection, failures, options, printing
from tidegate.cli.options import Output
from tidegate.settings import Settings

if TYPE_CHECKING:
    from tidegate.doctor.checks import CheckResult


@click.command()
@options.output
@options.data_dir
def doctor(output: Output, data_dir: Path | None) -> None:
    """Check whether this host has the programs and kernel features that Tidegate uses, and print what to install or
    set. Needs no root and no running Tidegate. Exits with 1 if Tidegate cannot run here at all."""
    from tidegate.doctor import checks
    from tidegate.doctor.finding import HostView
    from tidegate.home import holder

    settings = Settings(connection.home(data_dir))
    wanted = (settings.http_port, settings.https_port, settings.internal_port, settings.api_port)
    results = list(checks.examine(HostView(settings.home, () if holder(settings) is not None else wanted)))
    if output is Output.JSON:
        click.echo(printing.json_text([result._asdict() for result in results]))
    else:
        for line in _lines(results):
            click.echo(line)
    if not checks.works(results):
        click.get_current_context().exit(failures.FAILED)


def _lines(results: "Sequence[CheckResult]") -> Iterator[str]:
    yield from columns.aligned([("CHECK", "STATE", "DETAIL"), *(result[:3] for result in results)])
    faults = [result for result in results if result.advice]
    for result in faults:
        yield ""
        yield f"{result.name}: {result.without}"
        yield f"    {result.advice}"
