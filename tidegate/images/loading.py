# SPDX-License-Identifier: Apache-2.0
"""Loads images from files, so that they need no registry.

In: an archive of `docker save`, `podman save` or `buildah push` (docker-archive, oci-archive; compressed or not), or
the folder of an OCI layout. Out: the images in the store, each under the names that the archive gives it; or an
`ImageError`. Called by: `tidegate image load`.
"""

import json
import re
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tidegate.images import loaded, transfer, work_folder
from tidegate.images.errors import ImageError
from tidegate.images.reference import ImageReference, InvalidReference, parse
from tidegate.images.skopeo import Skopeo
from tidegate.images.store import ImageStore
from tidegate.images.stored import StoredImage
from tidegate.images.work_folder import WorkFolder
from tidegate.kit import files

_SECONDS = 3600.0
_MOST = 4 * 1024 * 1024  # bytes of an index
_INDEXES = ("manifest.json", "index.json", "oci-layout")
_REF_NAME = "org.opencontainers.image.ref.name"
_FULL_NAME = "io.containerd.image.name"


class ImageSource(NamedTuple):
    """One image of a file, as skopeo names it, and the names that it has there."""

    source: str
    names: tuple[str, ...]


async def load(store: ImageStore, path: Path, name: str = "") -> list[StoredImage]:
    """Load every image of a file or folder; `name`: instead of the names that it has there. Raises `ImageError`."""
    found = list(_sources(path))
    if not found:
        raise ImageError(f"{path} has no image")
    if name and len(found) > 1:
        raise ImageError(f"{path} has {len(found)} images: a name can be given to one only")
    skopeo = Skopeo(store.folder)
    images = []
    with work_folder.opened(store.folder, str(path)) as work:
        files.write_whole(work.registries, b"")
        for source, names in found:
            references = [_parsed(each) for each in ((name,) if name else names)]
            if not references:
                raise ImageError(f"an image of {path} has no name: give it one with --name")
            for reference in references:
                target = skopeo.stored(reference.full)
                await skopeo.run(work, "copy", "--quiet", source, target, seconds=_SECONDS)
                images.append(await _kept(store, skopeo, work, reference))
    return images


async def _kept(store: ImageStore, skopeo: Skopeo, work: WorkFolder, reference: ImageReference) -> StoredImage:
    image = store.find(reference.full)
    if image is None:
        raise ImageError("skopeo ended without an error, but the image is not in the store")
    await transfer.require_platform(skopeo, work, image)
    loaded.mark(store, reference, image)
    store.touch(image)
    return image


def _parsed(name: str) -> ImageReference:
    try:
        return parse(name)
    except InvalidReference as error:
        raise ImageError(f'"{name}" is no name of an image: {error}') from error


def _sources(path: Path) -> Iterator[ImageSource]:
    if any(sign in str(path.absolute()) for sign in ":@"):
        raise ImageError(f"{path}: skopeo reads no path with a colon or an @")
    try:
        indexes = _of_folder(path) if path.is_dir() else _of_archive(path)
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise ImageError(f"{path} is not an archive, or it is not complete") from error
    try:
        if "manifest.json" in indexes and not path.is_dir():
            yield from _docker(path, json.loads(indexes["manifest.json"]))
        elif "oci-layout" in indexes and "index.json" in indexes:
            transport = "oci" if path.is_dir() else "oci-archive"
            yield from _oci(f"{transport}:{path.absolute()}", json.loads(indexes["index.json"])["manifests"])
        else:
            raise ImageError(f"{path} is neither an archive of docker save or podman save nor an OCI layout")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ImageError(f"{path} cannot be read as an image: its index is damaged") from error


def _docker(path: Path, images: Sequence[Any]) -> Iterator[ImageSource]:
    for number, image in enumerate(images):
        names = tuple(str(name) for name in image.get("RepoTags") or ())
        yield ImageSource(f"docker-archive:{path.absolute()}:@{number}", names)


def _oci(place: str, manifests: Sequence[Any]) -> Iterator[ImageSource]:
    for manifest in manifests:
        annotations = manifest.get("annotations") or {}
        name = str(annotations.get(_REF_NAME) or "")
        if not name and len(manifests) > 1:
            raise ImageError("one of several images of an OCI layout has no name, so that skopeo cannot choose it")
        # A name that is only a tag, e.g. `latest`, names no repository.
        names = str(annotations.get(_FULL_NAME) or (name if re.search("[:/]", name) else ""))
        yield ImageSource(f"{place}:{name}" if name else place, (names,) if names else ())


def _of_folder(path: Path) -> dict[str, bytes]:
    return {name: (path / name).read_bytes() for name in _INDEXES if (path / name).is_file()}


def _of_archive(path: Path) -> dict[str, bytes]:
    found = {}
    with tarfile.open(path, "r:*") as archive:
        for member in archive:
            name = member.name.removeprefix("./")
            if name in _INDEXES and member.isfile() and member.size <= _MOST:
                file = archive.extractfile(member)
                found[name] = file.read(_MOST) if file is not None else b""
    return found
