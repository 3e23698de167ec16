# SPDX-License-Identifier: Apache-2.0
"""Compaction: old versions of objects are dropped five to ten minutes after they were replaced or deleted.

In: the clock. Out: `Store.compact`, after which the files contain none of their bytes: a deleted Secret does not stay
on the disk. Rule: kube-apiserver's --etcd-compaction-interval. A client that requests an older version gets 410.
"""

from tidegate.kit.clock import Clock, RealClock
from tidegate.store.store import Store

INTERVAL = 300.0  # seconds


class Compaction:
    """Compacts one store. `run` it once."""

    def __init__(self, store: Store, *, clock: Clock | None = None) -> None:
        self._store = store
        self._clock = clock or RealClock()

    async def run(self) -> None:
        """Drop the versions that were old an interval ago, until cancelled."""
        while True:
            revision = self._store.revision
            await self._clock.sleep(INTERVAL)
            await self._store.compact(revision)
