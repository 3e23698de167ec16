# SPDX-License-Identifier: Apache-2.0
"""The end of Events: one that was last seen an hour ago goes, so that they cannot grow without limit.

In: the clock. Out: deletes through the verbs, once a minute. Rule: kube-apiserver's --event-ttl.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from tidegate.apiserver.registry.verbs import Api
from tidegate.kit.clock import Clock, RealClock
from tidegate.model.kinds import EVENT
from tidegate.model.objects import Object
from tidegate.model.registry import deletion
from tidegate.model.registry.selectors import Selection, Test
from tidegate.model.text import jsonpath

TTL = timedelta(hours=1)
_INTERVAL = 60.0
_LAST_OBSERVED = jsonpath.compiled(".series.lastObservedTime")
_EVER = datetime.min.replace(tzinfo=UTC)


class Events:
    """Removes outdated Events of one API. `run` it once."""

    def __init__(self, api: Api, *, clock: Clock | None = None) -> None:
        self._api = api
        self._clock = clock or RealClock()

    async def run(self) -> None:
        """Remove what is outdated, every minute until cancelled."""
        while True:
            outdated = Selection((_seen_until(self._clock.wall() - TTL),))
            await self._api.delete_all(EVENT, "", outdated, deletion.Options())
            await self._clock.sleep(_INTERVAL)


def _seen_until(moment: datetime) -> Test:
    return lambda event: last_seen(event) <= moment


def last_seen(event: Object) -> datetime:
    """When the event last happened, as far as it says so in a way that can be read."""
    return max(_moments(event), default=_EVER)


def _moments(event: Object) -> Iterator[datetime]:
    created = event["metadata"].get("creationTimestamp")
    moment: Any
    for moment in (created, event.get("lastTimestamp"), event.get("eventTime"), _LAST_OBSERVED(event)):
        try:
            then = datetime.fromisoformat(moment)
        except (TypeError, ValueError):
            continue
        yield then if then.tzinfo is not None else then.replace(tzinfo=UTC)
