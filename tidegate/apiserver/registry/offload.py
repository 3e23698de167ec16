# SPDX-License-Identifier: Apache-2.0
"""Moves work on large input off the event loop: one thread does all of it, one piece after the other.

In: a pure function and the number of bytes that its work grows with. Out: its result. Small input is worked on at once,
which costs less than handing it over. Python's threads take turns: while the thread works the event loop is slower, but
it continues; with one thread it never shares the processor with more than one.
"""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from tidegate.kit.background import Background

T = TypeVar("T")

SMALL = 16 * 1024
"""Bytes of JSON that are worked on at once. This takes some milliseconds at most."""

_background = Background("large requests")


async def run(function: Callable[[], T], size: int) -> T:
    """The function's result; it runs in the thread if `size` is more than `SMALL`."""
    if size <= SMALL:
        return function()
    return await asyncio.wrap_future(_background(function))
