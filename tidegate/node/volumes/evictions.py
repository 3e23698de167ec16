# SPDX-License-Identifier: Apache-2.0
"""The limit of an emptyDir on disk: measured every 10 s, as by the kubelet.

In: the folders with a limit. Out: a Pod whose volume is larger is deleted, with an event `Evicted`; a revision gets
another Pod. A volume may exceed its limit for the time between two measurements. An emptyDir in memory has its limit
from the kernel. Called by: `volumes.py`; `node.py` (`check`). Rule: pkg/kubelet/eviction, emptyDirLimitEviction.
"""

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from tidegate.client.context import Context
from tidegate.kit import disk
from tidegate.model import errors
from tidegate.model.kinds import POD
from tidegate.model.objects import Key, Object, is_deleting, key, uid
from tidegate.model.text import quantities


class _Limited(NamedTuple):
    pod: Key
    volume: str
    place: Path
    limit: str


class Evictions:
    """`watch` and `forget` say which volumes are measured."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._limited: dict[str, list[_Limited]] = {}  # by Pod

    def watch(self, pod: Object, volume: Object, place: Path) -> None:
        """Measure a volume from now on, if it is an emptyDir on disk with a limit."""
        source = volume.get("emptyDir") or {}
        if source.get("sizeLimit") and not source.get("medium") and quantities.parse(source["sizeLimit"]).amount > 0:
            entry = _Limited(key(pod), volume["name"], place, str(source["sizeLimit"]))
            known = self._limited.setdefault(uid(pod), [])
            if entry not in known:
                known.append(entry)

    def forget(self, pod_uid: str) -> None:
        self._limited.pop(pod_uid, None)

    async def check(self) -> None:
        """Evict the Pods whose volumes are too large now."""
        for pod_uid, limited in list(self._limited.items()):
            for entry in limited:
                used = await asyncio.to_thread(_used, entry.place)
                if used > quantities.parse(entry.limit).amount and pod_uid in self._limited:
                    await self._evict(pod_uid, entry)
                    break

    async def _evict(self, pod_uid: str, entry: _Limited) -> None:
        pod = self._context.informers.pods.get(entry.pod)
        if pod is None or uid(pod) != pod_uid or is_deleting(pod):
            return
        message = f'Usage of EmptyDir volume "{entry.volume}" exceeds the limit "{entry.limit}". '
        self._context.recorder.warning(pod, "Evicted", message)
        with suppress(errors.NotFound, errors.Conflict):
            await self._context.cluster.delete(POD, entry.pod, uid=pod_uid)


def _used(place: Path) -> int:
    """Bytes on disk of all that containers wrote. A folder that cannot be read counts as empty."""
    with suppress(OSError):
        return max(0, disk.usage(place) - place.stat().st_blocks * 512)
    return 0
