# SPDX-License-Identifier: Apache-2.0
"""The program that a container's image stands for, for processes of this host.

In: a `Launch`, the folder of the bundles. Out: an `ImageProgram`, or `LaunchRejected`. Called by: `programs.py`.

| image | program | folder |
| --- | --- | --- |
| `tidegate.dev/host` | the container's command and args | `/` |
| `tidegate.dev/bundle/NAME@sha256:...` | the container's command, else the bundle's; then args | the bundle's |
| any other | none: ErrImagePull | |
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tidegate.bundles import bundle
from tidegate.model import names
from tidegate.node.runtime import Launch, LaunchRejected
from tidegate.node.runtimes.process.rejections import CANNOT

_NO_IMAGE = "ErrImagePull"


class ImageProgram(NamedTuple):
    """The program of an image, before its references to variables are replaced. `bundle`: the folder of the bundle, if
    it is one."""

    arguments: Sequence[str]
    directory: Path
    environment: Mapping[str, str]
    bundle: Path | None = None


def program(launch: Launch, bundles: Path, path: str) -> ImageProgram:
    """`path`: the PATH that the container has by default. Raises `LaunchRejected`."""
    image, command = launch.image, launch.command
    if image == names.HOST_IMAGE:
        if not command + launch.arguments:
            raise LaunchRejected(CANNOT, f"image {image} needs a command: the program to run on this host")
        return ImageProgram([*command, *launch.arguments], Path("/"), {})
    if image.startswith(names.BUNDLE_IMAGE_PREFIX):
        found = _bundle(image, bundles)
        if not command and not found.command:
            raise LaunchRejected(CANNOT, f"bundle {found.name} has no start command, and the container sets none")
        arguments = [*(command or found.command), *launch.arguments]
        return ImageProgram(arguments, found.source, found.environment(path), found.folder)
    raise LaunchRejected(
        _NO_IMAGE,
        f"Unable to fetch image {image!r}: OCI images need podman, which this node does not use yet; run a bundle "
        f"(tidegate deploy DIR) or a program of this host (image {names.HOST_IMAGE})",
    )


def _bundle(image: str, bundles: Path) -> bundle.Bundle:
    try:
        return bundle.resolve(image, bundles)
    except bundle.BundleError as error:
        raise LaunchRejected(_NO_IMAGE, str(error)) from error
