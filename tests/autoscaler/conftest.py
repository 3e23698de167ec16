# SPDX-License-Identifier: Apache-2.0
from collections.abc import AsyncIterator

import pytest

from tests.autoscaler.world import World


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    await world.start()
    yield world
    await world.stop()
