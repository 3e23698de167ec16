# SPDX-License-Identifier: Apache-2.0
"""Waiting for a foreign process, a file or a log line, which send no event."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable

PATIENCE = 30.0
"""Seconds after which a test fails that waits for something: a bound against hanging, never asserted."""

_FIRST, _LONGEST = 0.001, 0.1  # seconds between two looks


async def eventually(holds: Callable[[], bool | Awaitable[bool]], what: str) -> None:
    """Look again, at first often, until `holds` returns True. `what` names it in the failure."""
    wait = _FIRST
    try:
        async with asyncio.timeout(PATIENCE):
            while not await _value(holds()):
                await asyncio.sleep(wait)
                wait = min(wait * 1.5, _LONGEST)
    except TimeoutError:
        raise AssertionError(f"waited {PATIENCE:.0f} s for {what}") from None


async def _value(found: bool | Awaitable[bool]) -> bool:
    return await found if inspect.isawaitable(found) else found
