# SPDX-License-Identifier: Apache-2.0
"""The frames of a watch, as a client reads them: a stream of JSON {"type", "object"}.

Order of frames: the existing objects (if requested), a BOOKMARK after them (WatchList), then every change. If the
client allows it, a BOOKMARK comes after every minute without changes. A watch that falls too far behind ends with an
ERROR frame, Status 410 Expired.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from typing import Any

import msgspec

from tidegate.apiserver.endpoints.parameters import WatchOptions
from tidegate.apiserver.endpoints.views import ObjectView
from tidegate.apiserver.registry import changes
from tidegate.apiserver.registry.reader import Reader
from tidegate.client.cluster import EventType, WatchEvent
from tidegate.kit.clock import Clock
from tidegate.model import errors
from tidegate.model.kinds import Kind
from tidegate.model.objects import Object
from tidegate.store.watch import Watch

_BOOKMARK_SECONDS = 60.0
_PART = 128 * 1024  # bytes
DEFAULT_TIMEOUT = 3600.0  # seconds


async def frames(
    reader: Reader, kind: Kind, namespace: str, options: WatchOptions, view: ObjectView, clock: Clock
) -> AsyncGenerator[bytes, None]:
    """The frames of one watch. The first part has the existing objects, or is empty. Raises `Expired` at the start."""
    page = reader.list(kind, namespace, options.selection) if options.since is None else None
    since = page.revision if page is not None else options.since or 0
    with reader.watch(kind, namespace, options.selection, since=since) as watch:
        async for part in _parts(_frame("ADDED", view.one(obj)) for obj in (page.items if page is not None else ())):
            yield part
        if options.initial:
            yield _frame("BOOKMARK", view.bookmark(_bookmark(kind, since, ended=True)))
        deadline = clock.monotonic() + (options.timeout or DEFAULT_TIMEOUT)
        while (left := deadline - clock.monotonic()) > 0:
            await _wait(watch, clock, min(left, _BOOKMARK_SECONDS))
            try:
                taken = watch.take()
            except errors.Expired as error:
                yield _frame("ERROR", error.status())
                return
            if taken:
                async for part in _parts(_event_frame(changes.event(change), view) for change in taken):
                    yield part
            elif options.bookmarks and not watch.is_behind:
                yield _frame("BOOKMARK", view.bookmark(_bookmark(kind, reader.store.revision)))


async def _parts(frames: Iterable[bytes]) -> AsyncGenerator[bytes, None]:
    """The frames in parts, at least one. Each part is made in a turn of the event loop of its own."""
    part = bytearray()
    for frame in frames:
        part += frame
        if len(part) > _PART:
            yield bytes(part)
            part.clear()
            await asyncio.sleep(0)
    yield bytes(part)


async def _wait(watch: Watch, clock: Clock, seconds: float) -> None:
    """Return when there is a change, at the latest after `seconds`."""
    tasks = [asyncio.create_task(watch.ready()), asyncio.create_task(clock.sleep(seconds))]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


def _event_frame(event: WatchEvent, view: ObjectView) -> bytes:
    return _frame(event.type, view.one(event.object))


def _frame(kind: EventType | str, shown: Any) -> bytes:
    return msgspec.json.encode({"type": kind, "object": shown}) + b"\n"


def _bookmark(kind: Kind, revision: int, *, ended: bool = False) -> Object:
    metadata: Object = {"resourceVersion": str(revision), "creationTimestamp": None}
    if ended:
        metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
    return {"kind": kind.kind, "apiVersion": kind.api_version, "metadata": metadata}
