# SPDX-License-Identifier: Apache-2.0
"""`tidegate image`: the images in the store of this host, also while Tidegate runs."""

from collections.abc import Sequence
from pathlib import Path

import click

from tidegate.cli import failures, options, progress
from tidegate.cli.connection import run
from tidegate.cli.options import Output

_IN_USE = {True: "yes", False: "no", None: "-"}


@click.group()
def image() -> None:
    """Load, pull, list, save, push and remove images."""


@image.command()
@click.argument("path", type=options.FILE, metavar="FILE")
@click.option("--name", default="", metavar="NAME", help="Name of the image, instead of the one in the file.")
@options.data_dir
def load(path: Path, name: str, data_dir: Path | None) -> None:
    """Load images from an archive (docker save, podman save, OCI archive) or from the folder of an OCI layout."""
    from tidegate.cli import image_store

    with failures.interruptible(lambda: "not every image was loaded"), progress.shown() as report:
        report(f"loading {path}")
        names = run(image_store.load(data_dir, path, name))
    for each in names:
        click.echo(each)


@image.command()
@click.argument("name")
@options.data_dir
def pull(name: str, data_dir: Path | None) -> None:
    """Pull an image from its registry with the credentials of your user, and print its digest."""
    from tidegate.cli import image_store

    with failures.interruptible(lambda: "the image was not pulled"), progress.shown() as report:
        digest = run(image_store.pull(data_dir, name, report))
    click.echo(digest)


@image.command()
@options.output
@options.data_dir
def ls(output: Output, data_dir: Path | None) -> None:
    """List the images, and the pulls that run. USED is the time since the last pull or start of an image."""
    import json
    from datetime import UTC, datetime

    from tidegate.cli import columns, image_store
    from tidegate.kit import disk
    from tidegate.model.columns import since

    listing = run(image_store.listing(data_dir))
    if output is Output.JSON:
        click.echo(json.dumps(listing, indent=2))
        return
    now = datetime.now(UTC)
    rows = []
    for each in listing["images"]:
        facts = [each["digest"], disk.readable(each["size"]), since(each["used"], now), _IN_USE[each["inUse"]]]
        repositories = dict.fromkeys(name.partition("@")[0] for name in each["names"] or ["<none>"])
        rows += [[name, *facts] for name in repositories]
    for line in columns.aligned([["NAME", "DIGEST", "SIZE", "USED", "IN USE"], *rows]):
        click.echo(line)
    for pull in listing["pulls"]:
        click.echo(f"pulling {pull['image']}: {image_store.amount(pull['done'], pull['total'])}")


@image.command()
@click.argument("name")
@click.option("-o", "--output", "path", type=options.FILE, required=True, metavar="FILE", help="New file to write.")
@options.data_dir
def save(name: str, path: Path, data_dir: Path | None) -> None:
    """Write an image to an OCI archive, which podman, docker and `tidegate image load` read."""
    from tidegate.cli import image_store

    with failures.interruptible(lambda: "the image was not saved"), progress.shown() as report:
        report(f"saving {name}")
        run(image_store.save(data_dir, name, path))


@image.command()
@click.argument("name")
@click.argument("target", required=False, metavar="[TARGET]")
@options.data_dir
def push(name: str, target: str | None, data_dir: Path | None) -> None:
    """Copy an image to a registry with the credentials of your user, as NAME or as TARGET, and print its digest."""
    from tidegate.cli import image_store

    with failures.interruptible(lambda: "the image was not pushed"), progress.shown() as report:
        report(f"pushing {target or name}")
        pushed = run(image_store.push(data_dir, name, target or name))
    click.echo(pushed)


@image.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@options.data_dir
def rm(names: Sequence[str], data_dir: Path | None) -> None:
    """Remove images with all their names. NAME may be a digest, or the id of an image."""
    from tidegate.cli import image_store

    for removed in run(image_store.remove(data_dir, names)):
        click.echo(f"{removed} removed")
