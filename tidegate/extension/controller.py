# SPDX-License-Identifier: Apache-2.0
"""A controller of an extension: calls `reconcile(key)` for each object of a kind that was added, changed or deleted.

In: the shared informer of the kind. Out: calls of `reconcile`, one at a time for a key. Called by: `Extensions` runs it
under the supervisor. If `reconcile` raises, the error is logged and the key is retried after a backoff
(`reconcile.object_queue`).
"""

from collections.abc import Awaitable, Callable

from tidegate.client.context import Context
from tidegate.model.kinds import Kind
from tidegate.model.objects import Key
from tidegate.reconcile.lookups import own_key, waking
from tidegate.reconcile.object_queue import object_queue


class Controller:
    """`wake` and `wake_after` of `queue` give a key another turn, e.g. from a handler of another informer."""

    def __init__(self, name: str, context: Context, kind: Kind, reconcile: Callable[[Key], Awaitable[None]]) -> None:
        self.name = name
        self.queue = object_queue(name, reconcile, context.clock)
        self._informers = context.informers
        context.informers.of(kind).subscribe(waking(self.queue, own_key))

    async def run(self) -> None:
        """Reconcile until cancelled, once all informers have their first list."""
        await self._informers.synced()
        await self.queue.run()
