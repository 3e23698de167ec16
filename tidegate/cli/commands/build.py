# SPDX-License-Identifier: Apache-2.0
"""`tidegate build`: an image from a folder of source."""

from pathlib import Path

import click

from tidegate.cli import failures, options, progress, source_build
from tidegate.cli.options import BuildOptions
from tidegate.cli.source_build import ImageName, SourceFolder


@click.command()
@click.argument("folder", type=options.FILE, metavar="DIR", help="Folder of the app's source.")
@click.option("--name", default="", metavar="NAME", show_default="name of the folder", help="Name of the bundle.")
@click.option("--image", default="", metavar="IMAGE", help="Make an OCI image of this name, e.g. ghcr.io/me/app:v1.")
@click.option(
    "--base",
    default="",
    metavar="IMAGE",
    show_default="by the kind of app",
    help="Base image for --image, if DIR is built as a bundle.",
)
@options.building
@options.data_dir
def build(folder: Path, name: str, image: str, base: str, building: BuildOptions, data_dir: Path | None) -> None:
    """Build an app and print the image that names it."""
    if base and not image:
        raise failures.Misuse("--base: give the image a name too, by --image")
    source = SourceFolder(folder, name or folder.resolve().name, data_dir)
    with failures.interruptible(lambda: "nothing was built"), progress.shown() as report:
        if image:
            click.echo(source_build.image_named(source, building, ImageName(image, base), report))
        else:
            # Not needs_command: the Service may name a command.
            click.echo(source_build.built_app(source, building, report, needs_command=False).image)
