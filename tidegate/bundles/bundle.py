# SPDX-License-Identifier: Apache-2.0
"""Bundles: an app's source and what it needs, in one folder that is named by its content and never changes.

In: an image `tidegate.dev/bundle/NAME@sha256:HEX`. Out: a `Bundle`. Called by: the node agent, for what to run.

    bundles/HEX/source/       the files as they were, and what was installed beside them; the app's working directory
    bundles/HEX/env/          of Python, the virtual environment
    bundles/HEX/bin/          of Go, the programs
    bundles/HEX/static/       of static files, their server
    bundles/HEX/bundle.json   the start command, and what else there is to know

They are made by `build`.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from tidegate.model import names
from tidegate.model.text import images

MANIFEST = "bundle.json"


class BundleError(Exception):
    """A bundle cannot be built, or does not exist; the message is for the user. `lines`: the
    last ones of the tool that failed."""

    def __init__(self, message: str, lines: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.lines = lines


class BundleManifest(msgspec.Struct, frozen=True):
    """What a bundle says of itself. `command` and `release` are in the syntax of a container's command: $(PORT)."""

    command: tuple[str, ...]
    release: tuple[str, ...] = ()
    paths: tuple[str, ...] = ("env/bin",)
    variables: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class Bundle:
    """One bundle on this host."""

    name: str
    digest: str
    folder: Path
    command: tuple[str, ...]
    release: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def image(self) -> str:
        return f"{names.BUNDLE_IMAGE_PREFIX}{self.name}@sha256:{self.digest}"

    @property
    def source(self) -> Path:
        return self.folder / "source"

    def environment(self, path: str) -> Mapping[str, str]:
        """The variables that put its own programs in front of `path`, and what its kind of project is used to."""
        environment = self.folder / "env"
        virtual = {"VIRTUAL_ENV": str(environment)} if environment.is_dir() else {}
        folders = [str(self.folder / each) for each in self.paths if (self.folder / each).is_dir()]
        return {**self.variables, **virtual, **({"PATH": ":".join([*folders, path])} if folders else {})}


def resolve(image: str, bundles: Path) -> Bundle:
    """The bundle that an image names. Raises `BundleError`."""
    found = images.bundle_reference(image)
    if found is None:
        raise BundleError(f"{image!r} names no bundle: it reads {names.BUNDLE_IMAGE_PREFIX}NAME@sha256:DIGEST")
    if not (bundles / found.digest / MANIFEST).is_file():
        raise BundleError(
            f"there is no bundle {found.name}@sha256:{found.digest} on this host; build it with: tidegate build DIR"
        )
    return read(found.name, bundles / found.digest)


def is_whole(folder: Path) -> bool:
    """Whether a bundle is there with its manifest, which is written last."""
    with suppress(OSError, msgspec.DecodeError):
        _manifest(folder)
        return True
    return False


def _manifest(folder: Path) -> BundleManifest:
    return msgspec.json.decode((folder / MANIFEST).read_bytes(), type=BundleManifest)


def read(name: str, folder: Path) -> Bundle:
    try:
        manifest = _manifest(folder)
    except msgspec.DecodeError as error:
        raise BundleError(
            f"the bundle {name}@sha256:{folder.name} is damaged; build it again with: tidegate build DIR"
        ) from error
    return Bundle(name, folder.name, folder, manifest.command, manifest.release, manifest.paths, manifest.variables)
