# SPDX-License-Identifier: Apache-2.0
"""Resolves the tag of an image to a digest, so that a revision never changes.

In: the image of a container, and the credentials of its Pod. Out: NAME@DIGEST, or a `ResolutionError` with Knative's
message. Called by: the Revision controller.

| image | result |
| --- | --- |
| with a digest | unchanged |
| of a registry in `registries-skipping-tag-resolving` | "": the tag stays |
| loaded by `tidegate image load` | the digest of the image in the store |
| any other | the digest that the registry has for the tag: of the index, for an image of several platforms |

Rule: knative/serving pkg/reconciler/revision/resolve.go.
"""

import asyncio
from collections.abc import Callable

from tidegate.images import loaded
from tidegate.images.credentials import NO_CREDENTIALS, Credentials
from tidegate.images.errors import ImageError
from tidegate.images.reference import DOCKER_HUB, ImageReference, InvalidReference, parse
from tidegate.images.registry import Registry
from tidegate.images.store import ImageStore
from tidegate.model.config import Configs

_AT_ONCE = 8
_HUB = "index.docker.io"  # Knative's name for Docker Hub


class ResolutionError(ImageError):
    """The tag of an image cannot be resolved. The message is for a Revision's condition."""


class Resolver:
    """Resolves several images at once."""

    def __init__(self, store: ImageStore, configs: Callable[[], Configs]) -> None:
        self._store = store
        self._configs = configs
        self._registry = Registry(store.folder, lambda: configs().images)
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def resolve(self, image: str, credentials: Credentials = NO_CREDENTIALS) -> str:
        """Raises `ResolutionError`."""
        try:
            reference = parse(image)
        except InvalidReference as error:
            raise _error(image, error) from error
        if reference.digest:
            return image
        if {
            reference.registry,
            _shown(reference.registry),
        } & self._configs().deployment.registries_skipping_tag_resolving:
            return ""
        try:
            digest = self._local(reference) or await self._remote(reference, credentials)
        except (ImageError, TimeoutError) as error:
            raise _error(image, error) from error
        return f"{_shown(reference.registry)}/{reference.repository}@{digest}"

    def _local(self, reference: ImageReference) -> str:
        found = self._store.find(reference.full)
        return found.digest if found is not None and loaded.is_loaded(self._store, reference, found) else ""

    async def _remote(self, reference: ImageReference, credentials: Credentials) -> str:
        seconds = self._configs().deployment.digest_resolution_timeout
        try:
            async with self._turns, asyncio.timeout(seconds):
                return (await self._registry.manifest(reference, credentials)).digest
        except TimeoutError as error:
            raise ImageError(f"the registry did not answer within {seconds:g} s") from error


def _shown(registry: str) -> str:
    return _HUB if registry == DOCKER_HUB else registry


def _error(image: str, error: Exception) -> ResolutionError:
    return ResolutionError(f'Unable to fetch image "{image}": failed to resolve image to digest: {error}')
