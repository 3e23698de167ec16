# SPDX-License-Identifier: Apache-2.0
"""Keeps what grows on the disk within its bounds, and knows what takes how much.

In: the state folder, the objects that name bundles. Out: rotated logs, bundles and folders removed that nobody needs;
`usage` for `tidegate status`. Who: `embedded.py` calls each method every so many seconds. Container logs, logs of ended
instances, the access log and the history of objects are bounded by those who write them (docs/reference.md, "Files").
"""

import asyncio
from collections.abc import Collection, Mapping
from pathlib import Path

import structlog

from tidegate.bundles import collection
from tidegate.client.informer import Informer
from tidegate.kit import disk, rotation
from tidegate.kit.clock import Clock
from tidegate.settings import Settings

LOGS_EVERY, COLLECT_EVERY, MEASURE_EVERY = 5.0, 600.0, 60.0
"""Seconds between two calls of each."""

_LOG_BYTES, _LOGS_KEPT = 16 * 1024 * 1024, 3
_ENVOY_LOG_BYTES = 4 * 1024 * 1024
_UNUSED_SECONDS = 24 * 3600.0  # after which a bundle is removed
_UNUSED_WHEN_SHORT = 3600.0  # where the disk is short of room
_log = structlog.get_logger("upkeep")


class Upkeep:
    """`naming`: the informers of the objects that may name a bundle."""

    def __init__(self, settings: Settings, naming: Collection[Informer], clock: Clock) -> None:
        self._settings = settings
        self._naming = naming
        self._clock = clock
        self._of_bundles: dict[str, int] = {}  # bytes by digest: a bundle never changes
        self.usage: Mapping[str, int] = {}
        """Bytes on disk by place in the state folder, as last measured."""

    async def rotate(self) -> None:
        """Begin new logs where they have become too long."""
        rotation.rotate_own(self._settings.log, _LOG_BYTES, _LOGS_KEPT)
        for log in self._settings.gateway.rglob("envoy.log"):
            await asyncio.to_thread(rotation.rotate_by_copy, log, _ENVOY_LOG_BYTES, 1)

    async def collect(self) -> None:
        """Remove bundles that no object names and that nobody has built or asked for in a day; in an hour, where the
        disk is short of room."""
        for informer in self._naming:
            await informer.synced()
        used = {digest for informer in self._naming for obj in informer.list() for digest in collection.named(obj)}
        short = disk.space(self._settings.home).is_short
        before = self._clock.wall().timestamp() - (_UNUSED_WHEN_SHORT if short else _UNUSED_SECONDS)
        removed = await asyncio.to_thread(collection.collect, self._settings.bundles, used, before)
        if removed:
            _log.info("bundles removed", bundles=removed)

    async def measure(self) -> None:
        """Find out what takes how much."""
        self.usage = await asyncio.to_thread(self._measured)

    def _measured(self) -> dict[str, int]:
        home = self._settings.home
        return {place.name: self._size(place) for place in sorted(home.iterdir())}

    def _size(self, place: Path) -> int:
        if place != self._settings.bundles:
            return disk.usage(place)
        found = {bundle.name: bundle for bundle in place.iterdir()}
        self._of_bundles = {name: self._of_bundles.get(name) or disk.usage(bundle) for name, bundle in found.items()}
        return sum(self._of_bundles.values())
