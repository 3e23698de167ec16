# SPDX-License-Identifier: Apache-2.0
"""Waiting while Tidegate itself is short of files or memory, which says nothing about an app."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from tidegate.kit.clock import Clock
from tidegate.kit.processes import SHORTAGES

T = TypeVar("T")

_RETRY_AFTER = 0.5  # seconds


async def retrying(clock: Clock, look: Callable[[], Awaitable[T]]) -> T:
    """The result of `look`, which is repeated while it raises an `OSError` of a shortage."""
    while True:
        try:
            return await look()
        except OSError as error:
            if error.errno not in SHORTAGES:
                raise
        await clock.sleep(_RETRY_AFTER)
