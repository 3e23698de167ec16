# SPDX-License-Identifier: Apache-2.0
"""A watch as a client reads it: a stream of JSON frames {"type", "object"}.

Order of frames: what there is (where asked for), a BOOKMARK that says so (WatchList), then every change; a BOOKMARK
about every minute and at the end, if the client allows them. A watch that fell behind ends with an ERROR frame, Status
410 Expired.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from typing import Any

import msgspec

from tidegate.apiserver.endpoints.parameters import Watched
from tidegate.apiserver.endpoints.views import View
from tidegate.apiserver.registry import changes
from tidegate.apiserver.registry.verbs import Api
from tidegate.client.cluster import EventType, WatchEvent
from tidegate.kit.clock import Clock
from tidegate.model import errors
from tidegate.model.kinds import Kind
from tidegate.model.objects import Object
from tidegate.store.watch import Watch

_BOOKMARK_SECONDS = 60.0
_PART = 128 * 1024  # bytes
_DEFAULT_TIMEOUT = 3600.0


async def frames(
    api: Api, kind: Kind, namespace: str, asked: Watched, view: View, clock: Clock
) -> AsyncGenerator[bytes, None]:
    """The frames of one watch, at first those of what there is, which may be none. Raises `Expired` at the start."""
    page = api.list(kind, namespace, asked.selection) if asked.since is None else None
    since = page.revision if page is not None else asked.since or 0
    with api.watch(kind, namespace, asked.selection, since=since) as watch:
        async for part in _parts(_frame("ADDED", view.one(obj)) for obj in (page.items if page is not None else ())):
            yield part
        if asked.initial:
            yield _frame("BOOKMARK", view.bookmark(_bookmark(kind, since, ended=True)))
        deadline = clock.monotonic() + (asked.timeout or _DEFAULT_TIMEOUT)
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
            elif asked.bookmarks and not watch.is_behind:
                yield _frame("BOOKMARK", view.bookmark(_bookmark(kind, api.store.revision)))


async def _parts(frames: Iterable[bytes]) -> AsyncGenerator[bytes, None]:
    """The frames in pieces, at least one, each made in a turn of the event loop of its own."""
    part = bytearray()
    for frame in frames:
        part += frame
        if len(part) > _PART:
            yield bytes(part)
            part.clear()
            await asyncio.sleep(0)
    yield bytes(part)


async def _wait(watch: Watch, clock: Clock, seconds: float) -> None:
    """Return when there is something to tell, at the latest after `seconds`."""
    tasks = [asyncio.create_task(watch.ready()), asyncio.create_task(clock.sleep(seconds))]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


def _event_frame(event: WatchEvent, view: View) -> bytes:
    return _frame(event.type, view.one(event.object))


def _frame(kind: EventType | str, shown: Any) -> bytes:
    return msgspec.json.encode({"type": kind, "object": shown}) + b"\n"


def _bookmark(kind: Kind, revision: int, *, ended: bool = False) -> Object:
    metadata: Object = {"resourceVersion": str(revision), "creationTimestamp": None}
    if ended:
        metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
    return {"kind": kind.kind, "apiVersion": kind.api_version, "metadata": metadata}
