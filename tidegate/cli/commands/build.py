# SPDX-License-Identifier: Apache-2.0
"""`tidegate build`: a bundle from a folder of source, and the image that names it."""

from collections.abc import Sequence
from pathlib import Path

import click

from tidegate.cli import failures, options, progress, source_build


@click.command()
@click.argument("folder", type=options.FILE, metavar="DIR", help="Folder of the app's source.")
@click.option("--name", default="", metavar="NAME", show_default="name of the folder", help="Name of the bundle.")
@options.include
@options.data_dir
def build(folder: Path, name: str, include: Sequence[str], data_dir: Path | None) -> None:
    """Build a bundle of an app and print the image that names it."""
    with failures.interruptible(lambda: "no bundle was built"), progress.shown() as report:
        # Not needs_command: the Service may name a command.
        bundle = source_build.built(
            folder, name or folder.resolve().name, data_dir, report, include, needs_command=False
        )
    click.echo(bundle.image)
