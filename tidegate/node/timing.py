# SPDX-License-Identifier: Apache-2.0
"""Waiting for something no longer than so long, on a clock that is handed in."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from tidegate.kit.clock import Clock


async def within(clock: Clock, seconds: float, waited_for: Coroutine[Any, Any, object]) -> bool:
    """Whether it came to its end in time; else it is cancelled."""
    task = asyncio.create_task(waited_for)
    timer = asyncio.create_task(clock.sleep(seconds))
    try:
        await asyncio.wait((task, timer), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            return False
        task.result()
        return True
    finally:
        for unfinished in (task, timer):
            unfinished.cancel()
        await asyncio.gather(task, timer, return_exceptions=True)
