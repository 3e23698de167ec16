# SPDX-License-Identifier: Apache-2.0
"""Makes the store by a run of skopeo that is not ended.

In: the folder of images. Out: a store in it. Called by: the puller and loading, before the first image.

With the first layer of a store, skopeo tries by a mount what the kernel supports, and keeps the answer. If it is killed
meanwhile, that mount stays. Therefore a small layer is copied first: the copy of an image may be cancelled.
"""

import asyncio
import hashlib
import io
import secrets
import tarfile
from contextlib import suppress
from pathlib import Path

from tidegate.images import work_folder
from tidegate.images.layout import write_layout
from tidegate.images.records import LayerRecord
from tidegate.images.skopeo import Skopeo, SkopeoError
from tidegate.kit import files


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
            self._making.add_done_callback(_noted)
        await asyncio.shield(self._making)


def _noted(making: "asyncio.Future[None]") -> None:
    """Take the error, for which every caller may have stopped waiting."""
    if not making.cancelled():
        making.exception()


async def _make(folder: Path) -> None:
    skopeo = Skopeo(folder)
    name = f"localhost/tidegate-setup:{secrets.token_hex(8)}"  # another process may make the store at the same time
    with work_folder.opened(folder, name) as work:
        files.write_whole(work.registries, b"")
        layout, content = work.path / "layout", _layer(name)
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        write_layout(layout, [LayerRecord(digest, diff_digest=digest, compressed_size=len(content))], content)
        await skopeo.run(work, "copy", "--quiet", f"oci:{layout}", skopeo.stored(name))
        with suppress(SkopeoError):  # the collection removes it later
            await skopeo.run(work, "delete", skopeo.stored(name))
    files.write_whole(folder / "made", b"")


def _layer(name: str) -> bytes:
    """A layer with one empty file of that name."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as layer:
        layer.addfile(tarfile.TarInfo(name.replace("/", "-")))
    return content.getvalue()
