# SPDX-License-Identifier: Apache-2.0
"""The image decides what is run: a program of this host, a bundle, or an OCI image, which podman will run one day.

| image | program | folder |
| --- | --- | --- |
| `tidegate.dev/host` | the container's command and args | `/` |
| `tidegate.dev/bundle/NAME@sha256:...` | the container's command, else the bundle's; and args | the bundle's |
| any other | none: ErrImagePull | |
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tidegate.bundles import bundle
from tidegate.model import names
from tidegate.model.objects import Object
from tidegate.node.runtime import LaunchRefused


class ImageProgram(NamedTuple):
    """What an image runs, before variables are filled in."""

    arguments: Sequence[str]
    directory: Path
    environment: Mapping[str, str]


def program(container: Object, runtime: str, bundles: Path, path: str) -> ImageProgram:
    """What a container's image, command and args run; `runtime` is what its Pod asks for by annotation; `path`: the
    PATH that it has by default. Raises `LaunchRefused`."""
    image = str(container.get("image") or "")
    if runtime not in ("", "process"):
        raise LaunchRefused(
            "CreateContainerError", f"the runtime {runtime!r} is not there yet; there is only 'process'"
        )
    command, arguments = list(container.get("command") or ()), list(container.get("args") or ())
    if image == names.HOST_IMAGE:
        if not command + arguments:
            raise LaunchRefused(
                "CreateContainerError", f"image {image} needs a command: the program to run on this host"
            )
        return ImageProgram([*command, *arguments], Path("/"), {})
    if image.startswith(names.BUNDLE_IMAGE_PREFIX):
        found = _bundle(image, bundles)
        if not command and not found.command:
            raise LaunchRefused(
                "CreateContainerError", f"bundle {found.name} does not say how to start it, and no command is set"
            )
        return ImageProgram([*(command or found.command), *arguments], found.source, found.environment(path))
    raise LaunchRefused(
        "ErrImagePull",
        f"Unable to fetch image {image!r}: OCI images need podman, which this node does not use yet; run a bundle "
        f"(tidegate deploy DIR) or a program of this host (image {names.HOST_IMAGE})",
    )


def _bundle(image: str, bundles: Path) -> bundle.Bundle:
    try:
        return bundle.resolve(image, bundles)
    except bundle.BundleError as error:
        raise LaunchRefused("ErrImagePull", str(error)) from error
