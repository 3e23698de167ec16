# SPDX-License-Identifier: Apache-2.0
"""`tidegate version`: print the version."""

import click

import tidegate


@click.command()
def version() -> None:
    """Print the version."""
    click.echo(f"tidegate {tidegate.__version__}")
