# SPDX-License-Identifier: Apache-2.0
"""The expiry of Events."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from harness.apiserver import opened
from tests.apiserver import make
from tests.apiserver.make import exists, given
from tidegate.apiserver.upkeep.event_expiry import EventExpiry, last_seen
from tidegate.kit.clock import VirtualClock
from tidegate.model.kinds import EVENT
from tidegate.model.objects import Key

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def event(name: str, **more: Any) -> make.Json:
    return {"metadata": make.metadata(name), "involvedObject": {"kind": "Pod", "name": "a"}, **more}


async def test_an_event_is_deleted_an_hour_after_it_was_last_seen(tmp_path: Path) -> None:
    clock = VirtualClock(wall=NOON)
    async with opened(tmp_path, clock) as api:
        running = asyncio.create_task(EventExpiry(api, clock=clock).run())
        await given(api, EVENT, event("once"))
        await given(api, EVENT, event("again", lastTimestamp="2026-01-01T12:30:00Z"))

        await clock.advance(3599)
        assert exists(api, EVENT, "once")
        await clock.advance(61)
        await make.eventually(lambda: not exists(api, EVENT, "once"))
        assert exists(api, EVENT, "again")
        await api.patch(
            EVENT, Key("default", "again"), lambda obj: {**obj, "lastTimestamp": "2026-01-01T13:30:00Z"}, user=make.USER
        )
        await clock.advance(3600)
        assert exists(api, EVENT, "again")
        await clock.advance(1860)
        await make.eventually(lambda: not exists(api, EVENT, "again"))
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@pytest.mark.parametrize(
    ("fields", "minutes"),
    [
        ({}, 0),
        ({"lastTimestamp": "2026-01-01T12:05:00Z"}, 5),
        ({"lastTimestamp": None, "eventTime": "2026-01-01T12:06:00.000001Z"}, 6),
        ({"series": {"lastObservedTime": "2026-01-01T12:07:00+00:00"}}, 7),
        ({"lastTimestamp": "2026-01-01T12:08:00"}, 8),
        ({"lastTimestamp": "yesterday", "eventTime": 7}, 0),
    ],
)
def test_the_last_time_of_an_event_is_its_latest_readable_one(fields: make.Json, minutes: int) -> None:
    created = event("e", **fields)
    created["metadata"]["creationTimestamp"] = "2026-01-01T12:00:00Z"

    assert last_seen(created) - NOON < timedelta(minutes=minutes, seconds=1)
    assert last_seen(created) - NOON >= timedelta(minutes=minutes)


def test_an_event_without_a_time_is_the_oldest() -> None:
    assert last_seen(event("e")).year == 1
