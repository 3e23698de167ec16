# SPDX-License-Identifier: Apache-2.0
"""The images in a file or folder, as skopeo names them.

In: an archive of `docker save`, `podman save` or `buildah push` (docker-archive, oci-archive), compressed or not, or
the folder of an OCI layout. Out: `ImageSource`s, or an `ImageError`. Called by: `loading.py`.
"""

import bz2
import gzip
import json
import lzma
import re
import tarfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from io import BufferedIOBase
from pathlib import Path
from typing import Any, NamedTuple

from tidegate.images.errors import ImageError
from tidegate.kit import disk

_MOST = 4 * 1024 * 1024  # bytes of an index
_PIECE = 16 * 1024 * 1024  # bytes between two looks at the disk
_INDEXES = ("manifest.json", "index.json", "oci-layout")
_REF_NAME = "org.opencontainers.image.ref.name"
_FULL_NAME = "io.containerd.image.name"
_ZSTD = b"\x28\xb5\x2f\xfd"
_FORMS: dict[bytes, Callable[[Path], BufferedIOBase]] = {
    b"\x1f\x8b": gzip.GzipFile,
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\x00": lzma.LZMAFile,
}
"""How a compressed file begins, and its reader."""

_DAMAGED = (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile)


class ImageSource(NamedTuple):
    """One image of a file, as skopeo names it, and the names that it has there."""

    source: str
    names: tuple[str, ...]


def sources(path: Path, folder: Path) -> list[ImageSource]:
    """The images of a file or folder. `folder`: for a link to it, because skopeo reads no path with a colon, or for the
    decompressed file. Raises `ImageError`."""
    place = folder / "image"
    try:
        if path.is_dir():
            place.symlink_to(path.absolute())
            return list(_found(path, place, _of_folder(path)))
        _place_archive(path, place)
        return list(_found(path, place, _of_archive(place)))
    except _DAMAGED as error:
        raise ImageError(f"{path} is not an archive, or it is not complete") from error


def _place_archive(path: Path, place: Path) -> None:
    """Link or decompress the archive, because skopeo does not read every compressed one."""
    with path.open("rb") as file:
        begin = file.read(8)
    if begin.startswith(_ZSTD):
        raise ImageError(f"{path} is compressed with zstd: decompress it first")
    reader = next((reader for magic, reader in _FORMS.items() if begin.startswith(magic)), None)
    if reader is None:
        place.symlink_to(path.absolute())
        return
    with reader(path) as compressed, place.open("wb") as plain:
        while piece := compressed.read(_PIECE):
            if disk.space(place).is_short:
                raise ImageError(f"{path} cannot be decompressed: the disk is almost full")
            plain.write(piece)


def _found(path: Path, place: Path, indexes: dict[str, bytes]) -> Iterator[ImageSource]:
    try:
        if "manifest.json" in indexes and not path.is_dir():
            yield from _docker(place, json.loads(indexes["manifest.json"]))
        elif "oci-layout" in indexes and "index.json" in indexes:
            transport = "oci" if path.is_dir() else "oci-archive"
            yield from _oci(f"{transport}:{place}", json.loads(indexes["index.json"])["manifests"])
        else:
            raise ImageError(f"{path} is neither an archive of docker save or podman save nor an OCI layout")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ImageError(f"{path} cannot be read as an image: its index is damaged") from error


def _docker(place: Path, images: Sequence[Any]) -> Iterator[ImageSource]:
    for number, image in enumerate(images):
        names = tuple(str(name) for name in image.get("RepoTags") or ())
        yield ImageSource(f"docker-archive:{place}:@{number}", names)


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


def _of_archive(place: Path) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    with tarfile.open(place, "r:") as archive:
        for member in archive:
            name = member.name.removeprefix("./")
            if name in _INDEXES and member.isfile() and member.size <= _MOST:
                file = archive.extractfile(member)
                found[name] = file.read(_MOST) if file is not None else b""
    return found
