# SPDX-License-Identifier: Apache-2.0
"""v1 Events: what happened to an object, told so that `kubectl describe` shows it.

In: calls of `normal` and `warning`, which never wait and never fail. Out: Event objects, written by `run` one after the
other. The same thing told again within ten minutes raises the count of its Event, as client-go's recorder does. When
writes cannot keep up, the oldest that wait are dropped: an Event is news, never state.
"""

import asyncio
from collections import OrderedDict, deque
from typing import Literal, NamedTuple

import structlog

from tidegate.client.cluster import Cluster
from tidegate.kit.clock import Clock, RealClock
from tidegate.model import errors, kinds
from tidegate.model.conditions import timestamp
from tidegate.model.objects import Key, Object, key

_WAITING = 1000
_REMEMBERED = 4096
_SAME_FOR = 600.0  # seconds
_LONGEST = 1024  # characters of a message, as Kubernetes' validation has it


class _News(NamedTuple):
    type: Literal["Normal", "Warning"]
    api_version: str
    kind: str
    about: Key
    uid: str
    reason: str
    message: str


class _Written(NamedTuple):
    event: Key
    times: int
    at: float


class Recorder:
    """Tells events in the name of one component."""

    def __init__(self, cluster: Cluster, component: str, clock: Clock | None = None) -> None:
        self._cluster = cluster
        self._component = component
        self._clock = clock or RealClock()
        self._waiting: deque[_News] = deque(maxlen=_WAITING)
        self._news = asyncio.Event()
        self._written: OrderedDict[_News, _Written] = OrderedDict()
        self._log = structlog.get_logger("events").bind(component=component)

    def normal(self, about: Object, reason: str, message: str) -> None:
        """Something went as it should."""
        self._tell("Normal", about, reason, message)

    def warning(self, about: Object, reason: str, message: str) -> None:
        """Something did not."""
        self._tell("Warning", about, reason, message)

    def _tell(self, kind: Literal["Normal", "Warning"], about: Object, reason: str, message: str) -> None:
        uid = about["metadata"].get("uid", "")
        text = message if len(message) <= _LONGEST else f"{message[: _LONGEST - 1]}…"
        self._waiting.append(_News(kind, about["apiVersion"], about["kind"], key(about), uid, reason, text))
        self._news.set()

    async def run(self) -> None:
        """Write what was told until cancelled."""
        while True:
            await self._news.wait()
            self._news.clear()
            while self._waiting:
                news = self._waiting.popleft()
                try:
                    await self._write(news)
                except (errors.ApiError, OSError) as error:  # the namespace may be going; the next one may do better
                    self._log.info("event not written", about=str(news.about), reason=news.reason, error=str(error))

    async def _write(self, news: _News) -> None:
        before = self._written.pop(news, None)
        now = self._clock.monotonic()
        recent = before if before is not None and now - before.at < _SAME_FOR else None
        self._written[news] = (recent and await self._repeat(recent)) or _Written(await self._create(news), 1, now)
        if len(self._written) > _REMEMBERED:
            self._written.popitem(last=False)

    async def _repeat(self, written: _Written) -> _Written | None:
        """None when the Event was deleted meanwhile."""
        times = written.times + 1
        patch = {"count": times, "lastTimestamp": timestamp(self._clock.wall())}
        try:
            await self._cluster.patch(kinds.EVENT, written.event, patch)
        except errors.NotFound:
            return None
        return _Written(written.event, times, self._clock.monotonic())

    async def _create(self, news: _News) -> Key:
        now = timestamp(self._clock.wall())
        namespace = news.about.namespace or "default"
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"generateName": f"{news.about.name[:40].rstrip('.-')}.", "namespace": namespace},
            "involvedObject": {
                "apiVersion": news.api_version,
                "kind": news.kind,
                "name": news.about.name,
                **({"namespace": news.about.namespace} if news.about.namespace else {}),
                **({"uid": news.uid} if news.uid else {}),
            },
            "type": news.type,
            "reason": news.reason,
            "message": news.message,
            "source": {"component": self._component},
            "reportingComponent": self._component,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        return key(await self._cluster.create(kinds.EVENT, event))
