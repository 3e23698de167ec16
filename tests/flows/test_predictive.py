# SPDX-License-Identifier: Apache-2.0
"""An autoscaling class from a package: it learns from the previous days and starts instances before requests arrive."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tidegate_predictive.history import Bin, HistoryStore
from tidegate_predictive.model import BIN, DAY

from harness.platform import Platform, eventually, running, service
from tidegate.model.objects import Key, status

pytestmark = [pytest.mark.flow, pytest.mark.needs("kubectl")]

CLASS = "predictive.tidegate.dev"
DAYS = 4
LOAD = 20.0  # requests at a time, day and night


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    """A Tidegate with a load history of several days."""
    now = int(time.time() // BIN)
    days = [(Key("default", "daily"), Bin(at, BIN, LOAD * BIN, LOAD * BIN)) for at in range(now - DAYS * DAY, now)]
    HistoryStore(tmp_path / "home" / "autoscalers" / CLASS).write(days, 0)
    with running(tmp_path / "home") as platform:
        yield platform


async def test_a_daily_load_has_instances_before_its_first_request(platform: Platform) -> None:
    annotations = {"autoscaling.knative.dev/class": CLASS, "autoscaling.knative.dev/target": "10"}
    platform.apply(service("daily", annotations=annotations))
    platform.wait_ready("daily")

    def wanted() -> int:
        return int(status(platform.get("podautoscaler", "daily-00001"))["desiredScale"])

    await eventually(lambda: wanted() == 3, "as many instances as the load of every day wants, at 7 each")
    await eventually(lambda: len(platform.pods("daily-00001")) == 3, "all of them")
    explained = platform.cli("explain", "daily").stdout
    assert f"up to {LOAD:g} is foreseen" in " ".join(explained.split())
