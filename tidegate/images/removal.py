# SPDX-License-Identifier: Apache-2.0
"""Removes images, and layers that belong to none.

In: the store, an image. Out: a store without it; layers that another image has stay. Called by: the collection,
`tidegate image rm`.

skopeo removes a layer only with its image. Layers that a killed pull has left behind get an image for a moment: its
manifest names layers that the store has, so that nothing is copied, and its removal removes them.
"""

from collections.abc import Sequence

from tidegate.images import loaded, work_folder
from tidegate.images.layout import write_layout
from tidegate.images.records import LayerRecord
from tidegate.images.skopeo import Skopeo
from tidegate.images.store import ImageStore
from tidegate.images.stored import StoredImage
from tidegate.kit import files

_NAME = "localhost/tidegate-unused:layers"


async def remove(store: ImageStore, image: StoredImage) -> None:
    """Remove an image with all its names. Raises `ImageError`."""
    skopeo = Skopeo(store.folder)
    with work_folder.opened(store.folder, image.id) as work:
        files.write_whole(work.registries, b"")
        await skopeo.run(work, "delete", skopeo.by_id(image.id))
    loaded.forget(store, image.id)


async def remove_layers(store: ImageStore, chain: Sequence[LayerRecord]) -> None:
    """Remove layers that belong to no image: a chain, the lowest layer first. Raises `ImageError`."""
    skopeo = Skopeo(store.folder)
    with work_folder.opened(store.folder, _NAME) as work:
        files.write_whole(work.registries, b"")
        layout = work.path / "layout"
        write_layout(layout, chain)
        await skopeo.run(work, "copy", "--quiet", f"oci:{layout}", skopeo.stored(_NAME))
        await skopeo.run(work, "delete", skopeo.stored(_NAME))
