# SPDX-License-Identifier: Apache-2.0
"""Pulls images into the store.

In: the image and the pull policy of a container, the credentials of its Pod. Out: a `StoredImage`, or a `PullError`
whose reason and message become the container's status. Called by: the container runtime, before it creates a container;
`tidegate image pull`.

| policy | image in the store | then |
| --- | --- | --- |
| IfNotPresent, or none for a digest or a tag that is not `latest` | yes | it is used |
| Always, or none for the tag `latest` | yes | the registry is asked for the digest; used if it is the same |
| Never | no | `ErrImageNeverPull` |
| any other | no | pulled |

An image that was loaded (`tidegate image load`) under the name is used under every policy: its registry may not exist.
Callers that need an image that is being pulled wait for that pull. After a failure, attempts are rejected with
`ImagePullBackOff` for 10 s, then twice as long after each further failure, up to 300 s, as in the kubelet.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from tidegate.images import errors, loaded, transfer
from tidegate.images.credentials import NO_CREDENTIALS, Credentials
from tidegate.images.errors import ImageError, PullError
from tidegate.images.reference import ImageReference, InvalidReference, parse
from tidegate.images.registry import Registry
from tidegate.images.store import ImageStore
from tidegate.images.store_setup import StoreSetup
from tidegate.images.stored import StoredImage
from tidegate.kit.clock import Clock, RealClock
from tidegate.model.config import ImagesConfig

ALWAYS, IF_NOT_PRESENT, NEVER = "Always", "IfNotPresent", "Never"
"""Values of `imagePullPolicy`."""

BACK_OFF_FIRST, BACK_OFF_LONGEST = 10.0, 300.0
"""Seconds after a failed pull in which no other is tried."""

_MOST_REMEMBERED = 1000
PullKey = tuple[str, Credentials]


@dataclass(slots=True)
class SharedPull:
    """A pull that runs, and the number of callers that wait for it."""

    task: "asyncio.Task[StoredImage]"
    waiting: int = 0


@dataclass(frozen=True, slots=True)
class _Failure:
    """The last failure of an image."""

    until: float
    delay: float
    message: str


def _ignored() -> None:
    """Default `pulling`."""


class Puller:
    """Pulls several images at once, and each image once."""

    def __init__(self, store: ImageStore, config: Callable[[], ImagesConfig], clock: Clock | None = None) -> None:
        self._store = store
        self._registry = Registry(store.folder, config)
        self._config = config
        self._clock = clock or RealClock()
        self.running: dict[PullKey, SharedPull] = {}
        self.failures: dict[PullKey, _Failure] = {}
        self._setup = StoreSetup(store.folder)
        self._free = asyncio.Condition()
        self._pulling = 0

    async def pull(
        self,
        image: str,
        policy: str = "",
        credentials: Credentials = NO_CREDENTIALS,
        *,
        pulling: Callable[[], None] = _ignored,
    ) -> StoredImage:
        """The image, from the store or the registry. `pulling`: called before the registry is asked. Raises
        `PullError`."""
        try:
            reference = parse(image)
        except InvalidReference as error:
            raise PullError(errors.INVALID_NAME, f'couldn\'t parse image name "{image}": {error}') from error
        try:
            found = self._store.find(reference.full)
        except ImageError as error:
            raise PullError(errors.INSPECT_ERROR, str(error)) from error
        policy = policy or (ALWAYS if reference.always_pulled else IF_NOT_PRESENT)
        if found is not None and (policy != ALWAYS or loaded.is_loaded(self._store, reference, found)):
            self._store.touch(found)
            return found
        if policy == NEVER:
            message = f'Container image "{image}" is not present with pull policy of Never'
            raise PullError(errors.NEVER_PULL, message)
        key = (reference.full, credentials)
        failure = self.failures.get(key)
        if failure is not None and self._clock.monotonic() < failure.until:
            raise PullError(
                errors.BACK_OFF, f'Back-off pulling image "{image}": {errors.ERR_IMAGE_PULL}: {failure.message}'
            )
        pulling()
        return await self._shared(key, reference)

    async def _shared(self, key: PullKey, reference: ImageReference) -> StoredImage:
        """Wait for the pull of an image, and start it unless it runs; end it if nobody waits any more."""
        pull = self.running.get(key)
        if pull is None:
            task = asyncio.create_task(self._pull(key, reference), name=f"pull of {reference.full}")
            pull = self.running[key] = SharedPull(task)
            task.add_done_callback(lambda _: self.running.pop(key, None))
        pull.waiting += 1
        try:
            return await asyncio.shield(pull.task)
        finally:
            pull.waiting -= 1
            if not pull.waiting and not pull.task.done():
                pull.task.cancel()
                await asyncio.wait([pull.task])

    async def _pull(self, key: PullKey, reference: ImageReference) -> StoredImage:
        await self._take_turn()
        try:
            await self._setup.ensure()
            image = await transfer.fetch(self._store, self._registry, reference, key[1], self._config())
        except ImageError as error:
            message = f'failed to pull image "{reference.full}": {error}'
            self._remember(key, message)
            raise PullError(errors.ERR_IMAGE_PULL, message) from error
        finally:
            await self._end_turn()
        self.failures.pop(key, None)
        return image

    def _remember(self, key: PullKey, message: str) -> None:
        now = self._clock.monotonic()
        before = self.failures.get(key)
        is_recent = before is not None and now < before.until + 2 * BACK_OFF_LONGEST
        delay = min(2 * before.delay, BACK_OFF_LONGEST) if before is not None and is_recent else BACK_OFF_FIRST
        self.failures.pop(key, None)
        while len(self.failures) >= _MOST_REMEMBERED:
            del self.failures[next(iter(self.failures))]  # the one that failed longest ago
        self.failures[key] = _Failure(now + delay, delay, message)

    async def _take_turn(self) -> None:
        async with self._free:
            await self._free.wait_for(lambda: self._pulling < self._config().max_parallel_image_pulls)
            self._pulling += 1

    async def _end_turn(self) -> None:
        async with self._free:
            self._pulling -= 1
            self._free.notify()
