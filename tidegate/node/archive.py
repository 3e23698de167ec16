# SPDX-License-Identifier: Apache-2.0
"""The logs of instances that have ended, so that they can be read after a scale to zero.

In: a Pod whose processes have ended, and the folder of its logs. Out: the ended instances of a service, and the folders
of their logs. Called by: `NodeContext.forget` (keeps logs), `pod_logs.py`, the API server.

`Retention` limits the age of logs, their bytes per service, and their bytes in all; the oldest logs are removed first.
A log is moved, not copied, so a process that still has it open continues to write into it. `pod.json` beside the files
has the Pod. Empty logs are not kept.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import structlog

from tidegate.kit import trees
from tidegate.kit.files import write_whole
from tidegate.model import names
from tidegate.model.config import ObservabilityConfig
from tidegate.model.objects import Key, Object, annotations, key, labels, spec, uid

_POD = "pod.json"
_log = structlog.get_logger("node")


@dataclass(frozen=True, slots=True)
class Retention:
    """The age and the bytes up to which logs of ended instances are kept."""

    seconds: float = 3 * 24 * 3600
    bytes_of_service: int = 20 * 2**20
    bytes_in_all: int = 2**30


def retention(wanted: ObservabilityConfig) -> Retention:
    """The retention of config-observability."""
    return Retention(wanted.ended_for, int(wanted.ended_size_of_service.amount), int(wanted.ended_size.amount))


@dataclass(frozen=True, slots=True)
class _Entry:
    """One instance. `pod`: the part of its Pod that identifies the log."""

    pod: Object
    ended: datetime
    size: int

    @property
    def service(self) -> Key:
        return Key(key(self.pod).namespace, labels(self.pod).get(names.SERVICE, ""))


class Archive:
    """The logs in `folder`, a folder for each Pod."""

    def __init__(self, folder: Path, retention: Callable[[], Retention] = Retention) -> None:
        self._folder = folder
        self._retention = retention
        self._entries: dict[str, _Entry] = {}  # by uid, the oldest first
        self._of_service: dict[Key, dict[str, _Entry]] = {}
        self._of_pod: dict[Key, _Entry] = {}
        self._size = 0
        self._one = asyncio.Lock()

    def of(self, service: Key) -> Sequence[Object]:
        """The ended Pods of a service whose logs are kept, the oldest first."""
        return [entry.pod for entry in self._of_service.get(service, {}).values()]

    def pod(self, name: Key) -> Object | None:
        """The deleted Pod of that name, if its logs are kept."""
        entry = self._of_pod.get(name)
        return entry.pod if entry is not None else None

    def place(self, pod: str) -> Path | None:
        """The folder of a Pod's logs, by its uid; None if there is none."""
        return self._folder / pod if pod in self._entries else None

    async def load(self) -> None:
        """Read the logs that an earlier agent has kept."""
        found = await asyncio.to_thread(lambda: list(self._found()))
        for entry in sorted(found, key=lambda entry: entry.ended):
            self._add(entry)

    async def keep(self, pod: Object, folder: Path, now: datetime) -> None:
        """Move the logs of a Pod's folder here. It completes even if the caller is cancelled."""
        await asyncio.shield(asyncio.create_task(self._keep(pod, folder, now), name=f"keep the log of {key(pod)}"))

    async def _keep(self, pod: Object, folder: Path, now: datetime) -> None:
        async with self._one:  # an ending Pod may be killed at the same time
            try:
                entry = await asyncio.to_thread(_moved, _described(pod, now), folder, self._folder / uid(pod), now)
            except OSError as error:  # e.g. a full disk, which must not keep an instance from ending
                _log.warning("logs of an ended instance cannot be kept", pod=str(key(pod)), error=str(error))
                return
        if entry is not None:
            self._add(entry)
            await self.prune(now)

    async def prune(self, now: datetime) -> None:
        """Remove the logs that exceed the bounds."""
        removed = list(self._removed(self._retention(), now))
        if removed:
            await asyncio.to_thread(_remove, [self._folder / pod for pod in removed])

    def _removed(self, bounds: Retention, now: datetime) -> Iterator[str]:
        """Take entries out of the index until the rest is within the bounds. Only the service whose instance ended
        last can have become too large."""
        oldest = now - timedelta(seconds=bounds.seconds)
        while self._entries:
            pod, entry = next(iter(self._entries.items()))
            if entry.ended >= oldest and self._size <= bounds.bytes_in_all:
                break
            yield self._drop(pod)
        newest = next(reversed(self._entries.values()), None)
        of_service = self._of_service.get(newest.service, {}) if newest is not None else {}
        size = sum(entry.size for entry in of_service.values())
        while size > bounds.bytes_of_service:
            pod, entry = next(iter(of_service.items()))
            size -= entry.size
            yield self._drop(pod)

    def _add(self, entry: _Entry) -> None:
        pod = uid(entry.pod)
        if pod in self._entries:
            self._drop(pod)
        self._entries[pod] = self._of_pod[key(entry.pod)] = entry
        self._of_service.setdefault(entry.service, {})[pod] = entry
        self._size += entry.size

    def _drop(self, pod: str) -> str:
        entry = self._entries.pop(pod)
        self._size -= entry.size
        if self._of_pod.get(key(entry.pod)) is entry:
            del self._of_pod[key(entry.pod)]
        of_service = self._of_service[entry.service]
        del of_service[pod]
        if not of_service:
            del self._of_service[entry.service]
        return pod

    def _found(self) -> Iterator[_Entry]:
        for place in self._folder.iterdir() if self._folder.is_dir() else ():
            try:
                pod = msgspec.json.decode((place / _POD).read_bytes(), type=Object)
                ended = datetime.fromisoformat(annotations(pod)[names.ENDED])
            except (FileNotFoundError, NotADirectoryError, msgspec.MsgspecError, KeyError, ValueError):
                _remove([place])  # incomplete: its Pod is unknown
                continue
            except OSError as error:  # it may be readable later
                _log.warning("logs of an ended instance cannot be read", folder=str(place), error=str(error))
                continue
            yield _Entry(pod, ended, _size(place))


def _described(pod: Object, now: datetime) -> Object:
    """The part of a Pod that identifies its log, and the time of its end."""
    kept = ("name", "namespace", "uid", "creationTimestamp", "labels")
    default = {name: text for name, text in annotations(pod).items() if name == names.DEFAULT_CONTAINER}
    metadata = {field: pod["metadata"][field] for field in kept if field in pod["metadata"]}
    metadata["annotations"] = {**default, names.ENDED: now.isoformat()}
    names_of = {
        field: [{"name": container["name"]} for container in spec(pod)[field]]
        for field in ("initContainers", "containers")
        if spec(pod).get(field)
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": names_of}


def _moved(pod: Object, source: Path, target: Path, now: datetime) -> _Entry | None:
    logs = [path for path in source.glob("*.log") if path.stat().st_size] if source.is_dir() else []
    if not logs:
        return None
    target.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_whole(target / _POD, msgspec.json.encode(pod))
    for path in (*logs, *source.glob("*.times")):
        path.replace(target / path.name)
    return _Entry(pod, now, _size(target))


def _size(place: Path) -> int:
    """Bytes on disk; holes in a log take none."""
    return sum(path.stat().st_blocks * 512 for path in (place, *place.iterdir()))


def _remove(places: Sequence[Path]) -> None:
    for place in places:
        trees.remove(place)
