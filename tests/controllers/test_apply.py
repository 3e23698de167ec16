# SPDX-License-Identifier: Apache-2.0
"""From an applied Service to one that is Ready, through all controllers and a real API."""

from pathlib import Path

from tests import make
from tests.controllers.world import controlled
from tidegate.model import kinds


async def test_a_new_service_becomes_ready(tmp_path: Path) -> None:
    async with controlled(tmp_path) as world:
        await world.apply(make.service())

        await world.until(lambda: world.is_ready(kinds.SERVICE, "hello"))

        service = world.get(kinds.SERVICE, "hello")
        assert service is not None
        assert service["status"]["url"] == "http://hello.default.example.com:8080"
