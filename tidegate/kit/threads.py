# SPDX-License-Identifier: Apache-2.0
"""Work in a thread that is done to its end, because it changes something outside of this process.

In: a function. Out: its result. Called by: the OCI runtime, for mounts.
"""

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def whole(function: Callable[P, T], /, *arguments: P.args, **options: P.kwargs) -> T:
    """Run it in a thread. A caller that is cancelled leaves only when the function has returned: a thread cannot be
    stopped, and what it did must be undone afterwards."""
    work = asyncio.ensure_future(asyncio.to_thread(function, *arguments, **options))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait([work])
        raise
