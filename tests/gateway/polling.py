# SPDX-License-Identifier: Apache-2.0
"""Polls what only polling can observe: a foreign process, a file that it writes, a connection that the kernel
assigns."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

Found = TypeVar("Found")

_FIRST, _LONGEST = 0.001, 0.05  # seconds between two looks


@overload
async def eventually(look: Callable[[], Awaitable[Found | None]], *, seconds: float = ...) -> Found: ...
@overload
async def eventually(look: Callable[[], Found | None], *, seconds: float = ...) -> Found: ...
async def eventually(look: Callable[[], Any], *, seconds: float = 20.0) -> Any:
    """Return the first true result of `look`, which may be a coroutine function. Fail after `seconds`."""
    pause = _FIRST
    async with asyncio.timeout(seconds):
        while True:
            found = look()
            if inspect.isawaitable(found):
                found = await found
            if found:
                return found
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST)
