# SPDX-License-Identifier: Apache-2.0
"""Waiting for a foreign process, a file, a log line or a connection, which send no event."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

Found = TypeVar("Found")

PATIENCE = 30.0
"""Seconds after which a test fails that waits for something: a bound against hanging, never asserted."""

_FIRST, _LONGEST = 0.001, 0.1  # seconds between two looks


@overload
async def eventually(
    look: Callable[[], Awaitable[Found | None]], what: str = ..., *, patience: float = ...
) -> Found: ...
@overload
async def eventually(look: Callable[[], Found | None], what: str = ..., *, patience: float = ...) -> Found: ...
async def eventually(look: Callable[[], Any], what: str = "a result", *, patience: float = PATIENCE) -> Any:
    """Return the first true result of `look`, which may be a coroutine function. `what` names it in the failure."""
    wait = _FIRST
    try:
        async with asyncio.timeout(patience):
            while not (found := await _value(look())):
                await asyncio.sleep(wait)
                wait = _longer(wait)
    except TimeoutError:
        raise AssertionError(f"waited {patience:.0f} s for {what}") from None
    return found


def eventually_blocking(holds: Callable[[], bool], what: str, *, patience: float = PATIENCE) -> None:
    """The same for a test without an event loop."""
    wait, deadline = _FIRST, time.monotonic() + patience
    while not holds():
        assert time.monotonic() < deadline, f"waited {patience:.0f} s for {what}"
        time.sleep(wait)
        wait = _longer(wait)


def _longer(wait: float) -> float:
    return min(wait * 1.5, _LONGEST)


async def _value(found: Any) -> Any:
    return await found if inspect.isawaitable(found) else found
