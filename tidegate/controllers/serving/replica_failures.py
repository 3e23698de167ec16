# SPDX-License-Identifier: Apache-2.0
"""Revisions whose Pods the API rejects, and why. In Kubernetes a ReplicaSet reports the same in its condition
`ReplicaFailure`.

In: the errors of creating Pods, from `instances`. Out: a reason and message for `revision`, which shows them, and the
times at which `instances` tries again. Kept in memory only: after a restart the next attempt finds out.
"""

from collections.abc import Callable, Collection

from tidegate.kit.backoff import Backoff
from tidegate.kit.clock import Clock
from tidegate.model.objects import Key
from tidegate.model.pods import Failure
from tidegate.reconcile.object_queue import REJECTION_WAITS

FAILED_CREATE = "FailedCreate"


class ReplicaFailures:
    """The failure of each Revision, and until when its Pods are not tried again."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures: dict[str, dict[Key, Failure]] = {}  # by namespace
        self._retry_at: dict[Key, float] = {}
        self._backoff = Backoff(*REJECTION_WAITS)
        self._handlers: list[Callable[[Key], None]] = []

    def subscribe(self, handler: Callable[[Key], None]) -> None:
        """Call `handler` with every Revision whose failure changes from now on."""
        self._handlers.append(handler)

    def get(self, revision: Key) -> Failure | None:
        return self._failures.get(revision.namespace, {}).get(revision)

    def is_delayed(self, revision: Key) -> bool:
        """Whether its Pods were rejected so recently that they are not tried again yet."""
        return self._clock.monotonic() < self._retry_at.get(revision, 0.0)

    def delay_retry(self, revision: Key, message: str) -> float:
        """A Pod was rejected with `message`. Returns the seconds until the next attempt."""
        delay = self._backoff.next(revision)
        self._retry_at[revision] = self._clock.monotonic() + delay
        self._set(revision, message)
        return delay

    def retry_now(self, namespace: str) -> Collection[Key]:
        """Let the Revisions of a namespace try again at once, because its quota has more room. Returns them."""
        revisions = list(self._failures.get(namespace, ()))
        for revision in revisions:
            self._retry_at.pop(revision, None)
        return revisions

    def clear(self, revision: Key) -> None:
        """No Pod of it is rejected any more."""
        self._retry_at.pop(revision, None)
        self._backoff.forget(revision)
        self._set(revision, "")

    def _set(self, revision: Key, message: str) -> None:
        before = self.get(revision)
        if message == (before.message if before is not None else ""):
            return
        in_namespace = self._failures.setdefault(revision.namespace, {})
        if message:
            in_namespace[revision] = Failure(FAILED_CREATE, message)
        else:
            del in_namespace[revision]
        if not in_namespace:
            del self._failures[revision.namespace]
        for handler in self._handlers:
            handler(revision)
