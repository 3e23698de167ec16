# SPDX-License-Identifier: Apache-2.0
"""Waiting with a timeout, on a given clock; waiting for the first of several."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from tidegate.kit.clock import Clock

T = TypeVar("T")


async def first(*waited_for: Coroutine[Any, Any, T]) -> T:
    """The result of the coroutine that ends first; the others are cancelled."""
    tasks = [asyncio.create_task(coroutine) for coroutine in waited_for]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return next(task for task in tasks if task in done).result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def within(clock: Clock, seconds: float, waited_for: Coroutine[Any, Any, object]) -> bool:
    """Whether the coroutine ended within `seconds`; otherwise it is cancelled."""
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
