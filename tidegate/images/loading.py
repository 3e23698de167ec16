# SPDX-License-Identifier: Apache-2.0
"""Loads images from files, so that they need no registry.

In: an archive or the folder of an OCI layout. Out: the images in the store, each under the names that it has there; or
an `ImageError`. Called by: `tidegate image load`.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from tidegate.images import archives, loaded, transfer, work_folder
from tidegate.images.errors import ImageError
from tidegate.images.reference import ImageReference, InvalidReference, parse
from tidegate.images.skopeo import Skopeo
from tidegate.images.store import ImageStore
from tidegate.images.store_setup import StoreSetup
from tidegate.images.stored import StoredImage
from tidegate.images.work_folder import WorkFolder
from tidegate.kit import files

_SECONDS = 3600.0


async def load(store: ImageStore, path: Path, name: str = "") -> list[StoredImage]:
    """Load every image of a file or folder; `name`: instead of the names that it has there. Raises `ImageError`."""
    skopeo = Skopeo(store.folder)
    images = []
    await StoreSetup(store.folder).ensure()
    with work_folder.opened(store.folder, str(path)) as work:
        files.write_whole(work.registries, b"")
        found = await asyncio.to_thread(archives.sources, path, work.path)
        if name and len(found) > 1:
            raise ImageError(f"{path} has {len(found)} images: a name can be given to one only")
        for source, references in [(each.source, _references(path, each.names, name)) for each in found]:
            for reference in references:
                target = skopeo.stored(reference.full)
                await skopeo.run(work, "copy", "--quiet", source, target, seconds=_SECONDS)
                images.append(await _kept(store, skopeo, work, reference))
    if not images:
        raise ImageError(f"{path} has no image")
    return images


def _references(path: Path, names: Sequence[str], name: str) -> list[ImageReference]:
    if not names and not name:
        raise ImageError(f"an image of {path} has no name: give it one with --name")
    return [_parsed(each) for each in ((name,) if name else names)]


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
