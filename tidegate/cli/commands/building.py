# SPDX-License-Identifier: Apache-2.0
"""`tidegate build`: a folder of source made into a bundle, the image of an app that runs as a process."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tidegate.cli import connection, options, problems, progress
from tidegate.cli.problems import Problem
from tidegate.settings import Settings

if TYPE_CHECKING:
    from tidegate.bundles.bundle import Bundle


@click.command()
@click.argument("folder", type=options.FILE, metavar="DIR", help="The folder of the app's source.")
@click.option("--name", default="", metavar="NAME", show_default="the folder's", help="The bundle's name.")
@options.include
@options.data_dir
def build(folder: Path, name: str, include: Sequence[str], data_dir: Path | None) -> None:
    """Make a bundle of an app and print the image that names it."""
    with problems.interruptible(lambda: "no bundle was made"), progress.shown() as tell:
        # What starts it may as well be the container's command.
        bundle = built(folder, name or folder.resolve().name, data_dir, tell, include, needs_command=False)
    click.echo(bundle.image)


def built(
    folder: Path,
    name: str,
    data_dir: Path | None,
    tell: progress.Tell,
    include: Sequence[str] = (),
    *,
    needs_command: bool = True,
) -> "Bundle":
    """The bundle of a folder, made if it does not exist yet."""
    from tidegate.bundles import build as builder
    from tidegate.bundles.bundle import BundleError

    bundles = Settings(connection.home(data_dir)).bundles
    try:
        return builder.build(
            folder, name, bundles, tell, needs_command=needs_command, include=include, remark=problems.remark
        )
    except BundleError as error:
        for line in error.lines:
            problems.remark(f"  {line}")
        raise Problem(str(error)) from error
