# SPDX-License-Identifier: Apache-2.0
"""`tidegate build`: a folder of source made into a bundle, the image of an app that runs as a process."""

from pathlib import Path

import click

from tidegate.cli import connection, options, progress
from tidegate.cli.problems import Problem
from tidegate.config import Settings


@click.command()
@click.argument("folder", type=options.FILE, metavar="DIR", help="The folder of the app's source.")
@click.option("--name", default="", metavar="NAME", show_default="the folder's", help="The bundle's name.")
@options.data_dir
def build(folder: Path, name: str, data_dir: Path | None) -> None:
    """Make a bundle of an app and print the image that names it."""
    with progress.shown() as tell:
        # What starts it may as well be the container's command.
        image = built(folder, name or folder.resolve().name, data_dir, tell, needs_command=False)
    click.echo(image)


def built(folder: Path, name: str, data_dir: Path | None, tell: progress.Tell, *, needs_command: bool = True) -> str:
    """The image of a folder's bundle, made where it is not there yet."""
    from tidegate.bundles import bundle

    bundles = Settings(connection.home(data_dir)).bundles
    try:
        return bundle.build(folder, name, bundles, tell, needs_command=needs_command).image
    except bundle.BundleError as error:
        raise Problem(str(error)) from error
