# SPDX-License-Identifier: Apache-2.0
"""`tidegate down`: stop one Tidegate on this machine."""

from pathlib import Path

import click

from tidegate.cli import connection, failures, options
from tidegate.settings import Settings


@click.command()
@options.data_dir
def down(data_dir: Path | None) -> None:
    """Stop Tidegate, its gateway and all instances."""
    from tidegate.cli import background

    with failures.interruptible(lambda: "Tidegate is still stopping: `tidegate down` waits for it again"):
        result = background.stop(Settings(connection.home(data_dir)))
    click.echo(result)
