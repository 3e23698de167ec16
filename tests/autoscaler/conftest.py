# SPDX-License-Identifier: Apache-2.0
from collections.abc import AsyncIterator

import pytest

from harness.autoscaler import World


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    await world.start()
    yield world
    await world.stop()
