# SPDX-License-Identifier: Apache-2.0
"""Makes the store by a run of skopeo that is not ended.

In: the folder of images. Out: a store in it. Called by: the puller and loading, before the first image.

With the first layer of a store, skopeo tries by a mount what the kernel supports, and keeps the answer. If it is killed
meanwhile, that mount stays. Therefore a layer without files is copied first: the copy of an image may be cancelled.
"""

import asyncio
import hashlib
from pathlib import Path

from tidegate.images import work_folder
from tidegate.images.layout import write_layout
from tidegate.images.skopeo import Skopeo
from tidegate.images.store import LayerRecord
from tidegate.kit import files

_NAME = "localhost/tidegate-empty:layer"
_EMPTY_TAR = bytes(1024)


class StoreSetup:
    """Makes a store once, for any number of callers."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._making: asyncio.Future[None] | None = None

    async def ensure(self) -> None:
        """Make the store unless it exists, to the end even if the caller is cancelled. Raises `ImageError`."""
        if (self._folder / "made").exists():
            return
        if self._making is None or self._making.done():
            self._making = asyncio.ensure_future(_make(self._folder))
        await asyncio.shield(self._making)


async def _make(folder: Path) -> None:
    skopeo = Skopeo(folder)
    with work_folder.opened(folder, _NAME) as work:
        files.write_whole(work.registries, b"")
        layout = work.path / "layout"
        digest = f"sha256:{hashlib.sha256(_EMPTY_TAR).hexdigest()}"
        layer = LayerRecord(digest, diff_digest=digest, compressed_size=len(_EMPTY_TAR))
        write_layout(layout, [layer], _EMPTY_TAR)
        await skopeo.run(work, "copy", "--quiet", f"oci:{layout}", skopeo.stored(_NAME))
        await skopeo.run(work, "delete", skopeo.stored(_NAME))
    files.write_whole(folder / "made", b"")
