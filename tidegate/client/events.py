# SPDX-License-Identifier: Apache-2.0
"""v1 Events: reports about an object, which `kubectl describe` shows.

In: calls of `normal` and `warning`, which never wait and never fail. Out: Event objects, written by `run` one after
another. A report repeated within ten minutes raises the count of its Event, as client-go's recorder does. When
writes cannot keep up, the oldest that wait are dropped: an Event is a report, never state.
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
_LONGEST = 1024  # characters of a message, as in Kubernetes' validation


class _EventContent(NamedTuple):
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
    """Reports events in the name of one part."""

    def __init__(self, cluster: Cluster, component: str, clock: Clock | None = None) -> None:
        self._cluster = cluster
        self._component = component
        self._clock = clock or RealClock()
        self._waiting: deque[_EventContent] = deque(maxlen=_WAITING)
        self._pending = asyncio.Event()
        self._written: OrderedDict[_EventContent, _Written] = OrderedDict()
        self._log = structlog.get_logger("events").bind(component=component)

    def normal(self, about: Object, reason: str, message: str) -> None:
        """Report a success."""
        self._enqueue("Normal", about, reason, message)

    def warning(self, about: Object, reason: str, message: str) -> None:
        """Report a problem."""
        self._enqueue("Warning", about, reason, message)

    def _enqueue(self, kind: Literal["Normal", "Warning"], about: Object, reason: str, message: str) -> None:
        uid = about["metadata"].get("uid", "")
        text = message if len(message) <= _LONGEST else f"{message[: _LONGEST - 1]}…"
        self._waiting.append(_EventContent(kind, about["apiVersion"], about["kind"], key(about), uid, reason, text))
        self._pending.set()

    async def run(self) -> None:
        """Write the reports until cancelled."""
        while True:
            await self._pending.wait()
            self._pending.clear()
            while self._waiting:
                report = self._waiting.popleft()
                try:
                    await self._write(report)
                except (errors.ApiError, OSError) as error:  # e.g. the namespace is terminating
                    self._log.info("event not written", about=str(report.about), reason=report.reason, error=str(error))

    async def _write(self, report: _EventContent) -> None:
        before = self._written.pop(report, None)
        now = self._clock.monotonic()
        recent = before if before is not None and now - before.at < _SAME_FOR else None
        self._written[report] = (recent and await self._repeat(recent)) or _Written(await self._create(report), 1, now)
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

    async def _create(self, report: _EventContent) -> Key:
        now = timestamp(self._clock.wall())
        namespace = report.about.namespace or "default"
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"generateName": f"{report.about.name[:40].rstrip('.-')}.", "namespace": namespace},
            "involvedObject": {
                "apiVersion": report.api_version,
                "kind": report.kind,
                "name": report.about.name,
                **({"namespace": report.about.namespace} if report.about.namespace else {}),
                **({"uid": report.uid} if report.uid else {}),
            },
            "type": report.type,
            "reason": report.reason,
            "message": report.message,
            "source": {"component": self._component},
            "reportingComponent": self._component,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        return key(await self._cluster.create(kinds.EVENT, event))
