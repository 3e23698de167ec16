# SPDX-License-Identifier: Apache-2.0
"""One transfer of an image from its registry into the store, watched while it runs.

In: a reference. Out: a `StoredImage`, or an `ImageError`: the registry's answer, no progress for
`image-pull-progress-deadline`, a disk that is almost full, an image for another kind of machine. Called by:
`puller.py`; `loading.py`, for the kind of machine.
"""

import asyncio
import platform
import re
from contextlib import suppress

from tidegate.images.credentials import Credentials
from tidegate.images.errors import ImageError
from tidegate.images.progress import Downloads, written
from tidegate.images.reference import ImageReference
from tidegate.images.registry import ImageManifest, Registry
from tidegate.images.skopeo import Skopeo, SkopeoError, SkopeoRun
from tidegate.images.store import ImageStore
from tidegate.images.stored import Platform, StoredImage
from tidegate.images.work_folder import WorkFolder
from tidegate.kit import disk
from tidegate.model.config import ImagesConfig

_LOOK_EVERY = 0.5
_LONG = 1.0
_LONGEST = 4 * 3600.0  # of one transfer, however slow
_CONFLICT = re.compile("layer not known|is not a layer, image, or container|is not an image")
_CONFLICTS = 3
_WRITTEN = 65536  # bytes that count as progress while layers are unpacked
_ARCHITECTURES = {
    "x86_64": "amd64",
    "aarch64": "arm64",
    "armv7l": "arm",
    "i686": "386",
    "ppc64le": "ppc64le",
    "s390x": "s390x",
    "riscv64": "riscv64",
}


def this_platform() -> Platform:
    machine = platform.machine()
    return Platform("linux", _ARCHITECTURES.get(machine, machine))


async def fetch(
    store: ImageStore,
    registry: Registry,
    reference: ImageReference,
    credentials: Credentials,
    config: ImagesConfig,
) -> StoredImage:
    """The image of the registry, copied unless the store has that digest under that name. Raises `ImageError`."""

    async def transfer(work: WorkFolder) -> StoredImage:
        return await Transfer(store, registry, config, work).run(reference)

    return await registry.run(reference, credentials, transfer, is_pull=True)


class Transfer:
    """One run of skopeo, and its progress."""

    def __init__(self, store: ImageStore, registry: Registry, config: ImagesConfig, work: WorkFolder) -> None:
        self._store = store
        self._registry = registry
        self._deadline = config.image_pull_progress_deadline
        self._work = work
        self._downloads = Downloads(work.temporary)

    async def run(self, reference: ImageReference) -> StoredImage:
        digest, manifest = reference.digest, None
        if not digest:
            manifest = await self._registry.read(self._work, reference.full)
            digest = manifest.digest
            found = self._store.find(reference.full)
            if found is not None and digest in found.digests:
                self._store.touch(found)
                return found
        sizes = asyncio.create_task(self._note_total(reference, digest, manifest), name=f"size of {reference.full}")
        try:
            await self._copy_despite_others(reference, digest)
        finally:
            sizes.cancel()
            await asyncio.wait([sizes])
        image = self._store.find(reference.full)
        if image is None:
            raise ImageError("skopeo ended without an error, but the image is not in the store")
        await require_platform(self._registry.skopeo, self._work, image)
        self._store.touch(image)
        return image

    async def _copy_despite_others(self, reference: ImageReference, digest: str) -> None:
        """Copy; again if a layer that skopeo wanted to share was removed meanwhile with another image."""
        for _ in range(_CONFLICTS):
            try:
                return await self._copy(reference, digest)
            except SkopeoError as error:
                if not _CONFLICT.search(str(error)):
                    raise
        return await self._copy(reference, digest)

    async def _copy(self, reference: ImageReference, digest: str) -> None:
        """Copy, until it ends or does not get on."""
        skopeo = self._registry.skopeo
        source, target = f"docker://{reference.at(digest)}", skopeo.stored(reference.full)
        run = await skopeo.start(
            self._work, "copy", "--quiet", "--src-authfile", str(self._work.authfile), source, target
        )
        ending = asyncio.ensure_future(run.output())
        try:
            await self._watch(ending, run)
            await ending
        finally:
            ending.cancel()
            await asyncio.wait([ending])

    async def _note_total(self, reference: ImageReference, digest: str, manifest: ImageManifest | None) -> None:
        """Note the bytes to download. The registry is asked only about a pull that takes a while, because registries
        count such questions."""
        with suppress(ImageError):
            if manifest is None or manifest.instances:
                await asyncio.sleep(_LONG)
            if manifest is None:
                manifest = await self._registry.read(self._work, reference.at(digest))
            instance = manifest.instances.get(str(this_platform()))
            if instance is not None:
                manifest = await self._registry.read(self._work, reference.at(instance))
            stored = self._store.layer_digests()
            self._work.record.total = sum(size for layer, size in manifest.layers.items() if layer not in stored)

    async def _watch(self, ending: "asyncio.Future[bytes]", run: SkopeoRun) -> None:
        """Return when skopeo has ended. Raises `ImageError` if it has to be ended."""
        loop = asyncio.get_running_loop()
        start = moved = loop.time()
        before: tuple[int, int] = (0, 0)
        while not ending.done():
            await asyncio.wait([ending], timeout=_LOOK_EVERY)
            state = (self._downloads.size(), written(run.pid) // _WRITTEN)
            now = loop.time()
            if state != before:
                before, moved = state, now
                self._work.record.done = state[0]
                self._work.write()
            if ending.done():
                return
            if now - moved > self._deadline:
                raise ImageError(f"no progress for {self._deadline:g} s; cancelled")
            if now - start > _LONGEST:
                raise ImageError(f"not complete after {_LONGEST / 3600:g} h; cancelled")
            if disk.space(self._store.folder).is_short:
                raise ImageError("the disk is almost full; cancelled")


async def require_platform(skopeo: Skopeo, work: WorkFolder, image: StoredImage) -> None:
    """Remove an image for another kind of machine, and raise `ImageError`. skopeo chooses from an index; an image of
    one platform it copies, whatever that is."""
    ours, found = this_platform(), image.platform
    if found.os in ("", ours.os) and found.architecture in ("", ours.architecture):
        return
    await skopeo.run(work, "delete", skopeo.by_id(image.id))
    raise ImageError(f"the image is for {found}; this machine runs {ours}")
