# SPDX-License-Identifier: Apache-2.0
"""The expiry of Events: an Event is deleted an hour after it was last seen, so that their number stays limited.

In: the clock. Out: deletes through the verbs, once a minute. Rule: kube-apiserver's --event-ttl.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from tidegate.apiserver.registry.api import Api
from tidegate.kit.clock import Clock, RealClock
from tidegate.model.kinds import EVENT
from tidegate.model.objects import Object
from tidegate.model.registry.deletion import DeleteOptions
from tidegate.model.registry.selectors import Selection, Test
from tidegate.model.text import jsonpath

TTL = timedelta(hours=1)
_INTERVAL = 60.0
_LAST_OBSERVED = jsonpath.compiled(".series.lastObservedTime")
_NEVER = datetime.min.replace(tzinfo=UTC)


class EventExpiry:
    """Deletes expired Events of one API. `run` it once."""

    def __init__(self, api: Api, *, clock: Clock | None = None) -> None:
        self._api = api
        self._clock = clock or RealClock()

    async def run(self) -> None:
        """Delete expired Events every minute until cancelled."""
        while True:
            expired = Selection((_seen_until(self._clock.wall() - TTL),))
            await self._api.delete_all(EVENT, "", expired, DeleteOptions())
            await self._clock.sleep(_INTERVAL)


def _seen_until(moment: datetime) -> Test:
    return lambda event: last_seen(event) <= moment


def last_seen(event: Object) -> datetime:
    """The latest time in the event; the earliest possible one if it has no readable time."""
    return max(_moments(event), default=_NEVER)


def _moments(event: Object) -> Iterator[datetime]:
    created = event["metadata"].get("creationTimestamp")
    moment: Any
    for moment in (created, event.get("lastTimestamp"), event.get("eventTime"), _LAST_OBSERVED(event)):
        try:
            then = datetime.fromisoformat(moment)
        except (TypeError, ValueError):
            continue
        yield then if then.tzinfo is not None else then.replace(tzinfo=UTC)
