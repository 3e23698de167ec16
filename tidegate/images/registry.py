# SPDX-License-Identifier: Apache-2.0
"""Manifests, as the registry of an image has them; and runs of skopeo with that registry's settings and credentials.

In: a reference, credentials, config-images. Out: an `ImageManifest`, or `SkopeoError` with the registry's answer.
Called by: the puller and the resolver.
"""

import hashlib
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec

from tidegate.images import registries, work_folder
from tidegate.images.credentials import Credentials
from tidegate.images.reference import ImageReference
from tidegate.images.skopeo import Skopeo, SkopeoError, SkopeoTimeout
from tidegate.images.work_folder import WorkFolder
from tidegate.kit import files
from tidegate.model.config import ImagesConfig

Result = TypeVar("Result")

_REJECTED = re.compile(
    r"unauthorized|authentication required|denied|forbidden|invalid username/password", re.IGNORECASE
)


class _Platform(msgspec.Struct):
    os: str = ""
    architecture: str = ""


class _Descriptor(msgspec.Struct):
    digest: str
    size: int = 0
    platform: _Platform | None = None


class _Content(msgspec.Struct):
    manifests: list[_Descriptor] = []
    layers: list[_Descriptor] = []


class ImageManifest(NamedTuple):
    """`digest`: of the bytes that the registry sent. `instances`: of an index, the manifest's digest for each
    OS/ARCHITECTURE. `layers`: bytes to download, by digest."""

    digest: str
    instances: dict[str, str]
    layers: dict[str, int]


class Registry:
    """The registries of all images, as config-images and the host's files set them up."""

    def __init__(self, folder: Path, config: Callable[[], ImagesConfig]) -> None:
        self.skopeo = Skopeo(folder)
        self._folder = folder
        self._config = config

    async def manifest(self, reference: ImageReference, credentials: Credentials) -> ImageManifest:
        """The manifest or the index of an image. Raises `SkopeoError`."""
        return await self.run(reference, credentials, lambda work: self.read(work, reference.full))

    async def read(self, work: WorkFolder, name: str) -> ImageManifest:
        """The manifest or the index of NAME:TAG or NAME@DIGEST, with the credentials of a work folder."""
        arguments = ("inspect", "--raw", "--authfile", str(work.authfile), f"docker://{name}")
        seconds = self._config().image_pull_progress_deadline
        try:
            content = await self.skopeo.run(work, *arguments, seconds=seconds)
        except SkopeoTimeout as error:
            raise SkopeoError(f"the registry did not answer within {seconds:g} s") from error
        try:
            found = msgspec.json.decode(content, type=_Content)
        except msgspec.DecodeError as error:
            raise SkopeoError(f"the registry's manifest cannot be read: {error}") from error
        return ImageManifest(
            f"sha256:{hashlib.sha256(content).hexdigest()}",
            {
                f"{each.platform.os}/{each.platform.architecture}": each.digest
                for each in found.manifests
                if each.platform
            },
            {layer.digest: max(layer.size, 0) for layer in found.layers},
        )

    async def run(
        self,
        reference: ImageReference,
        credentials: Credentials,
        action: Callable[[WorkFolder], Awaitable[Result]],
        *,
        is_pull: bool = False,
    ) -> Result:
        """Call `action` with a work folder for this image; again with the next credentials if the registry rejects
        these. Raises the last `SkopeoError`."""
        rejection = SkopeoError("no credentials")  # replaced: there is one authfile at least
        for authfile in credentials.authfiles(reference):
            with work_folder.opened(self._folder, reference.full, is_pull=is_pull) as work:
                text = registries.render(self._config(), reference.registry, registries.of_host())
                files.write_whole(work.registries, text.encode())
                files.write_whole(work.authfile, authfile)
                try:
                    return await action(work)
                except SkopeoError as error:
                    if not _REJECTED.search(str(error)):
                        raise
                    rejection = error
        raise rejection
