# SPDX-License-Identifier: Apache-2.0
"""A `WorkQueue` of objects' keys that knows which answers of an API are no fault.

In: a reconciler of one kind. Out: a queue that calls it. Called by: every reconciler in `controllers`.

| the reconcile ends with | the queue |
| --- | --- |
| Conflict, AlreadyExists, NotFound: the object changed after it was read | retries after 0.01 s, doubling to 5 s |
| Forbidden because the namespace is being deleted | does nothing |
| Forbidden for another reason (e.g. a quota), Invalid, BadRequest, TooLarge | retries after 1 s, doubling to 60 s |
| any other error | logs it with its traceback and retries, as every `WorkQueue` does |

After a lost race the watch is about to bring the newer object; the wait grows in case the watch is slow.
"""

from collections.abc import Awaitable, Callable

import structlog

from tidegate.kit.backoff import Backoff
from tidegate.kit.clock import Clock
from tidegate.model import errors
from tidegate.model.objects import Key
from tidegate.reconcile.queue import WorkQueue
from tidegate.reconcile.rejections import REJECTIONS, is_namespace_terminating

_LOST_RACES = (errors.Conflict, errors.AlreadyExists, errors.NotFound)
RACE_WAITS = 0.01, 5.0
"""Seconds: the first and the longest wait after a lost race."""

REJECTION_WAITS = 1.0, 60.0
"""Seconds: the first and the longest wait after a rejected write."""


def object_queue(name: str, reconcile: Callable[[Key], Awaitable[None]], clock: Clock) -> WorkQueue[Key]:
    """A queue of keys for `reconcile`."""
    log = structlog.get_logger(name)
    races, rejections = Backoff(*RACE_WAITS), Backoff(*REJECTION_WAITS)

    async def turn(key: Key) -> None:
        try:
            await reconcile(key)
        except _LOST_RACES as race:
            log.debug("conflict, retrying", key=str(key), error=race.message)
            work.wake_after(key, races.next(key))
        except (errors.Forbidden, *REJECTIONS) as rejection:
            if is_namespace_terminating(rejection):
                log.debug("namespace is terminating", key=str(key))
                return
            delay = rejections.next(key)
            log.info("rejected", key=str(key), error=rejection.message, retry_in=delay)
            work.wake_after(key, delay)
        else:
            races.forget(key)
            rejections.forget(key)

    work: WorkQueue[Key] = WorkQueue(name, turn, clock=clock)
    return work
