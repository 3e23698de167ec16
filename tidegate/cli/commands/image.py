# SPDX-License-Identifier: Apache-2.0
"""`tidegate image`: load, pull, list and remove images in the store of this host."""

import asyncio
from pathlib import Path

import click

from tidegate.cli import connection, failures, options, progress
from tidegate.settings import Settings


@click.group()
def image() -> None:
    """Load, pull, list and remove images."""


@image.command()
@click.argument("path", type=options.FILE, metavar="FILE")
@click.option("--name", default="", metavar="NAME", help="Name of the image, instead of the one in the file.")
@options.data_dir
def load(path: Path, name: str, data_dir: Path | None) -> None:
    """Load images from an archive (docker save, podman save) or the folder of an OCI layout."""
    from tidegate.images import loading
    from tidegate.images.errors import ImageError
    from tidegate.images.store import ImageStore

    store = ImageStore(Settings(connection.home(data_dir)).images)
    with failures.interruptible(lambda: "not every image was loaded"), progress.shown() as report:
        report(f"loading {path}")
        try:
            loaded = asyncio.run(loading.load(store, path, name))
        except ImageError as error:
            raise failures.CommandFailure(str(error)) from error
    for each in dict.fromkeys(loaded):
        for full in each.names:
            click.echo(full)
