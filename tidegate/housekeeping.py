# SPDX-License-Identifier: Apache-2.0
"""Housekeeping: keeps the growing files of the state folder within their limits, and measures them.

In: the state folder, the objects that name bundles and images. Out: rotated logs; removed bundles and images; `usage`
for `tidegate status`. Called by: `embedded.py` starts it. The writers of container logs, logs of ended instances, the
access log and the history of objects limit these themselves (docs/reference.md, "Files").
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import structlog

from tidegate.bundles import collection
from tidegate.client.configs import LiveConfigs
from tidegate.client.informers import Informers
from tidegate.images import collection as image_collection
from tidegate.images import work_folder
from tidegate.images.store import ImageStore
from tidegate.kit import disk, rotation
from tidegate.kit.clock import Clock
from tidegate.kit.supervision import Supervisor
from tidegate.settings import Settings

LOGS_EVERY, COLLECT_EVERY, COLLECT_IMAGES_EVERY, MEASURE_EVERY = 5.0, 600.0, 300.0, 60.0
"""Seconds between two rounds of each."""

_LOG_BYTES, _LOGS_KEPT = 16 * 1024 * 1024, 3
_ENVOY_LOG_BYTES = 4 * 1024 * 1024
_UNUSED_SECONDS = 24 * 3600.0  # after which an unused bundle is removed
_UNUSED_WHEN_SHORT = 3600.0  # the same while the disk is short of space
_log = structlog.get_logger("housekeeping")


class Housekeeping:
    """Four rounds, each at its own interval."""

    def __init__(self, settings: Settings, informers: Informers, configs: LiveConfigs, clock: Clock) -> None:
        self._settings = settings
        self._configs = configs
        self._images = ImageStore(settings.images)
        # The objects that may name a bundle or an image.
        self._naming = (informers.services, informers.configurations, informers.revisions, informers.pods)
        self._clock = clock
        self._of_bundles: dict[str, int] = {}  # bytes by digest: a bundle never changes
        self.usage: Mapping[str, int] = {}
        """Bytes on disk by place in the state folder, as last measured."""

    def start(self, supervisor: Supervisor) -> None:
        """Run the rounds until `supervisor` stops them."""
        supervisor.every(LOGS_EVERY, log_rotation=self.rotate)
        supervisor.every(COLLECT_EVERY, bundles=self.collect)
        supervisor.every(COLLECT_IMAGES_EVERY, images=self.collect_images)
        supervisor.every(MEASURE_EVERY, disk_usage=self.measure)

    async def rotate(self) -> None:
        """Rotate the logs that are over their size limit."""
        rotation.rotate_own(self._settings.log, _LOG_BYTES, _LOGS_KEPT)
        for log in self._settings.gateway.rglob("envoy.log"):
            await asyncio.to_thread(rotation.rotate_by_copy, log, _ENVOY_LOG_BYTES, 1)

    async def collect(self) -> None:
        """Remove bundles that no object names and that were not built or requested for a day, or for an hour while the
        disk is short of space."""
        for informer in self._naming:
            await informer.synced()
        used = {digest for informer in self._naming for obj in informer.list() for digest in collection.named(obj)}
        short = disk.space(self._settings.home).is_short
        before = self._clock.wall().timestamp() - (_UNUSED_WHEN_SHORT if short else _UNUSED_SECONDS)
        removed = await asyncio.to_thread(collection.collect, self._settings.bundles, used, before)
        if removed:
            _log.info("bundles removed", bundles=removed)

    async def collect_images(self) -> None:
        """Remove temporary files of pulls that were killed, and images as config-images says."""
        if not self._settings.images.exists():
            return
        await asyncio.to_thread(work_folder.sweep, self._settings.images)
        for informer in self._naming:
            await informer.synced()
        named = {name for informer in self._naming for obj in informer.list() for name in image_collection.named(obj)}
        now = self._clock.wall().timestamp()
        removed = await image_collection.collect(self._images, named, self._configs.current.images, now)
        if removed:
            _log.info("images removed", images=removed)

    async def measure(self) -> None:
        """Measure the size of each place in the state folder."""
        self.usage = await asyncio.to_thread(self._measured)

    def _measured(self) -> dict[str, int]:
        home = self._settings.home
        return {place.name: self._size(place) for place in sorted(home.iterdir())}

    def _size(self, place: Path) -> int:
        if place == self._settings.images:  # of a store with many files, without a look at each
            return self._images.size + disk.usage(place / "work")
        if place != self._settings.bundles:
            return disk.usage(place)
        found = {bundle.name: bundle for bundle in place.iterdir()}
        self._of_bundles = {name: self._of_bundles.get(name) or disk.usage(bundle) for name, bundle in found.items()}
        return sum(self._of_bundles.values())
