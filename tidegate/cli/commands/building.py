# SPDX-License-Identifier: Apache-2.0
"""`tidegate build`: a folder of source made into a bundle, the image of an app that runs as a process."""

from pathlib import Path
from typing import Annotated

import typer

from tidegate.bundles import bundle
from tidegate.cli import connection, progress
from tidegate.cli.options import DataDir
from tidegate.cli.problems import Problem
from tidegate.config import Settings


def build(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of the app's source.")],
    name: Annotated[str, typer.Option(help="The bundle's name.", show_default="the folder's")] = "",
    data_dir: DataDir = None,
) -> None:
    """Make a bundle of an app and print the image that names it."""
    with progress.shown() as tell:
        # What starts it may as well be the container's command.
        image = built(folder, name or folder.resolve().name, data_dir, tell, needs_command=False)
    typer.echo(image)


def built(folder: Path, name: str, data_dir: Path | None, tell: progress.Tell, *, needs_command: bool = True) -> str:
    """The image of a folder's bundle, made where it is not there yet."""
    bundles = Settings(connection.home(data_dir)).bundles
    try:
        return bundle.build(folder, name, bundles, tell, needs_command=needs_command).image
    except bundle.BundleError as error:
        raise Problem(str(error)) from error
