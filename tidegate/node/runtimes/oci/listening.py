# SPDX-License-Identifier: Apache-2.0
"""The sockets of a container with a network namespace of its own: whatever listens there belongs to its Pod.

In: the container's first process. Out: a `Listening`. Nothing needs to be proved or held here: no other program can
have a port of that address.
"""

import asyncio
from collections.abc import Sequence

from tidegate.kit.processes import Process
from tidegate.node.runtime import ListeningSocket


class OciListening:
    """Of one run of a container."""

    def __init__(self, init: Process) -> None:
        self._init = init

    async def problem(self, port: int) -> str | None:
        return None

    async def opened(self) -> Sequence[ListeningSocket] | None:
        return None

    def is_taken(self, port: int) -> bool:
        return False

    def hold_port(self) -> None:
        pass

    async def lost(self) -> None:
        await asyncio.Event().wait()

    def check(self) -> None:
        pass

    def invalidate(self) -> None:
        pass

    def refuse_connections(self) -> None:
        pass

    def release(self) -> None:
        pass
