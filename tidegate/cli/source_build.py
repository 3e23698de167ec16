# SPDX-License-Identifier: Apache-2.0
"""An image from a folder of source, for commands: a bundle, or an OCI image by its Dockerfile.

Out: progress and remarks on stderr; a `CommandFailure` with the tool's lines. Called by: `tidegate build`, `tidegate
deploy`, `tidegate demo`.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tidegate.cli import connection, failures, progress
from tidegate.cli.options import Builder, BuildOptions
from tidegate.settings import Settings

if TYPE_CHECKING:
    from tidegate.bundles.bundle import Bundle
    from tidegate.model.config import ImagesConfig

_LOCAL = "localhost"  # the registry in the names of images that were built here, as in podman


@dataclass(frozen=True, slots=True)
class SourceFolder:
    """The folder of an app, and the name of the app."""

    folder: Path
    name: str
    data_dir: Path | None

    @property
    def settings(self) -> Settings:
        return Settings(connection.home(self.data_dir))

    def images_config(self) -> "ImagesConfig":
        """config-images of the running Tidegate."""
        from tidegate.cli import image_store

        return connection.run(image_store.config_of(self.data_dir))


@dataclass(frozen=True, slots=True)
class BuiltApp:
    """The image of an app, and its release command."""

    image: str
    release: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ImageName:
    """The name of an OCI image to make. `base`: the base image of a bundle's image, "" for the default."""

    name: str
    base: str


def built_app(
    source: SourceFolder, options: BuildOptions, report: progress.ShowLine, *, needs_command: bool = True
) -> BuiltApp:
    """Build a folder as the options say."""
    file = _dockerfile(source.folder, options.builder)
    if file is not None:
        tag = f"{_LOCAL}/{source.name}:latest"
        digest = _built_image(source, file, tag, options.build_arg, report)
        return BuiltApp(f"{_LOCAL}/{source.name}@{digest}")
    if options.build_arg:
        raise failures.Misuse("--build-arg: a bundle has no build arguments")
    bundle = built(source, report, options.include, needs_command=needs_command)
    return BuiltApp(bundle.image, bundle.release)


def built(
    source: SourceFolder, report: progress.ShowLine, include: Sequence[str] = (), *, needs_command: bool = True
) -> "Bundle":
    """The bundle of a folder; it is built unless it exists. `needs_command`: fail if nothing says how it starts."""
    from tidegate.bundles import build
    from tidegate.bundles.tools import Messages

    messages = Messages(report, failures.remark)
    with _failing():
        return build.build(
            source.folder,
            source.name,
            source.settings.bundles,
            messages,
            include=include,
            needs_command=needs_command,
        )


def image_named(source: SourceFolder, options: BuildOptions, image: ImageName, report: progress.ShowLine) -> str:
    """Make an OCI image of that name: from the Dockerfile, or of the bundle. Returns its reference by digest."""
    from tidegate.bundles.tools import Messages
    from tidegate.image_builds import bundle_image
    from tidegate.image_builds.bundle_image import BundleImage
    from tidegate.images import reference

    try:
        name = reference.parse(image.name)
    except reference.InvalidReference as error:
        raise failures.Misuse(f"--image: {error}") from error
    file = _dockerfile(source.folder, options.builder)
    if file is not None:
        if image.base:
            raise failures.Misuse(f"--base: {file.name} names the base image")
        digest = _built_image(source, file, name.full, options.build_arg, report)
    else:
        bundle = built(source, report, options.include)
        with _failing():
            asked = BundleImage(bundle, name.full, image.base)
            digest = bundle_image.build(
                asked, source.settings.images, source.images_config(), Messages(report, failures.remark)
            ).digest
    return name.at(digest)


def _built_image(
    source: SourceFolder, file: Path, tag: str, arguments: Mapping[str, str], report: progress.ShowLine
) -> str:
    """The digest of the image that a Dockerfile makes."""
    from tidegate.bundles.tools import Messages
    from tidegate.image_builds import buildah
    from tidegate.image_builds.buildah import ImageBuild

    with _failing():
        asked = ImageBuild(source.folder.resolve(), file.resolve(), tag, arguments)  # buildah runs in the folder
        messages = Messages(report, failures.remark)
        return buildah.build(asked, source.settings.images, source.images_config(), messages).digest


def _dockerfile(folder: Path, builder: Builder) -> Path | None:
    from tidegate.image_builds import dockerfile

    if builder is Builder.BUNDLE or not folder.is_dir():
        return None
    if builder is Builder.AUTO:
        return dockerfile.chosen(folder, failures.remark)
    file = dockerfile.of(folder)
    if file is None:
        raise failures.CommandFailure(f"there is no Dockerfile in {folder}")
    return file


@contextmanager
def _failing() -> Iterator[None]:
    """Report a build that failed, with the last lines of its tool."""
    from tidegate.bundles.bundle import BundleError
    from tidegate.image_builds.buildah import ImageBuildError

    try:
        yield
    except (BundleError, ImageBuildError) as error:
        for line in error.lines:
            failures.remark(f"  {line}")
        raise failures.CommandFailure(str(error)) from error
