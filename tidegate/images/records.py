# SPDX-License-Identifier: Apache-2.0
"""The records of a containers/storage: the part of its JSON files that Tidegate reads.

In: a path. Out: records, or `ImageError` for a damaged file. Called by: `store.py`.
"""

from datetime import datetime
from pathlib import Path
from typing import TypeVar

import msgspec

from tidegate.images.errors import ImageError

Record = TypeVar("Record")


class ConfigDescriptor(msgspec.Struct):
    digest: str


class StoredManifest(msgspec.Struct):
    config: ConfigDescriptor | None = None


class ImageRecord(msgspec.Struct, rename="kebab"):
    """An image in images.json. `layer`: the top one. `big_data_digests`: digests of its manifests and configuration."""

    id: str
    digest: str = ""
    names: list[str] | None = None
    layer: str = ""
    big_data_digests: dict[str, str] = {}


class LayerRecord(msgspec.Struct, rename="kebab"):
    """A layer in layers.json."""

    id: str
    parent: str = ""
    diff_digest: str = ""
    diff_size: int = 0
    compressed_diff_digest: str = ""
    compressed_size: int = 0
    created: datetime | None = None


class BuildRecord(msgspec.Struct):
    """A working container of a build in containers.json. `layer`: the one that it writes to."""

    id: str
    layer: str = ""


def version(path: Path) -> object:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size


def read(path: Path, kind: type[list[Record]]) -> list[Record]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        return []
    except msgspec.DecodeError as error:
        raise ImageError(f"the image store is damaged: {path}: {error}") from error
