# SPDX-License-Identifier: Apache-2.0
"""Which names of images were given by `tidegate image load`: these need no registry.

In: the store, a name and its image. Out: a file for each name, which holds the image's id. A later pull under the same
name makes the file void. Called by: loading, the puller, the resolver, the collection.
"""

import hashlib
from contextlib import suppress
from pathlib import Path

from tidegate.images.reference import ImageReference
from tidegate.images.store import ImageStore
from tidegate.images.stored import StoredImage
from tidegate.kit import files


def mark(store: ImageStore, reference: ImageReference, image: StoredImage) -> None:
    path = _path(store, reference)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    files.write_whole(path, f"{image.id}\n{reference.full}\n".encode())


def is_loaded(store: ImageStore, reference: ImageReference, image: StoredImage) -> bool:
    """Whether the name means this image because it was loaded."""
    return _id(_path(store, reference)) == image.id


def any_name(store: ImageStore, image: StoredImage) -> bool:
    """Whether the image was loaded under any name."""
    with suppress(FileNotFoundError):
        return any(_id(path) == image.id for path in (store.folder / "loaded").iterdir())
    return False


def forget(store: ImageStore, image_id: str) -> None:
    """The image was removed."""
    with suppress(FileNotFoundError):
        for path in (store.folder / "loaded").iterdir():
            if _id(path) == image_id:
                path.unlink(missing_ok=True)


def _path(store: ImageStore, reference: ImageReference) -> Path:
    return store.folder / "loaded" / hashlib.sha256(reference.full.encode()).hexdigest()


def _id(path: Path) -> str:
    with suppress(OSError):
        return path.read_text(errors="replace").partition("\n")[0]
    return ""
