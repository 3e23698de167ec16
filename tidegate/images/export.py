# SPDX-License-Identifier: Apache-2.0
"""Copies images out of the store: to a registry, or to an OCI archive.

In: a stored image, and the name that it gets there. Out: the archive, or the digest in the registry; or an
`ImageError`. Called by: `tidegate image push` and `tidegate image save`.
"""

from pathlib import Path

from tidegate.images import work_folder
from tidegate.images.credentials import NO_CREDENTIALS
from tidegate.images.errors import ImageError
from tidegate.images.reference import ImageReference
from tidegate.images.registry import Registry
from tidegate.images.skopeo import Skopeo
from tidegate.images.store import ImageStore
from tidegate.images.stored import StoredImage
from tidegate.images.work_folder import WorkFolder
from tidegate.kit import files

_SECONDS = 3600.0
_IN_NAME = (":", ",")  # characters with a meaning in the text that names an archive


async def save(store: ImageStore, image: StoredImage, name: ImageReference, path: Path) -> None:
    """Write the image to the new file `path`, as an OCI archive."""
    if any(sign in str(path) for sign in _IN_NAME):
        raise ImageError(f"an image cannot be saved to {path}: its path has one of the characters {''.join(_IN_NAME)}")
    if path.exists():  # noqa: ASYNC240 - one look at a local file
        raise ImageError(f"{path} exists")
    skopeo = Skopeo(store.folder)
    with work_folder.opened(store.folder, name.full) as work:
        files.write_whole(work.registries, b"")
        target = f"oci-archive:{path}:{name.full}"
        try:
            await skopeo.run(work, "copy", "--quiet", skopeo.stored(f"@{image.id}"), target, seconds=_SECONDS)
        except BaseException:
            path.unlink(missing_ok=True)  # noqa: ASYNC240 - the same
            raise


async def push(store: ImageStore, registry: Registry, image: StoredImage, name: ImageReference) -> str:
    """Copy the image to the registry of `name`, with the credentials of the user; its digest there."""

    async def copy(work: WorkFolder) -> str:
        digest = work.path / "digest"
        await registry.skopeo.run(
            work,
            *("copy", "--quiet", "--dest-authfile", str(work.authfile), "--digestfile", str(digest)),
            *(registry.skopeo.stored(f"@{image.id}"), f"docker://{name.full}"),
            seconds=_SECONDS,
        )
        return digest.read_text().strip()

    return await registry.run(name, NO_CREDENTIALS, copy)
