# SPDX-License-Identifier: Apache-2.0
"""Which Revisions' Pods the API does not take, and why: what a ReplicaSet says in Kubernetes.

In: what `instances` is answered. Out: a reason and message for `revision`, which shows it, and the keys that
`instances` tries again once there is more room. Kept in memory: whoever starts anew finds out by trying.
"""

from collections.abc import Callable, Collection

from tidegate.model.objects import Key
from tidegate.model.pods import Failure

FAILED_CREATE = "FailedCreate"


class Refused:
    """The reason by Revision."""

    def __init__(self) -> None:
        self._why: dict[str, dict[Key, Failure]] = {}  # by namespace
        self._handlers: list[Callable[[Key], None]] = []

    def subscribe(self, handler: Callable[[Key], None]) -> None:
        """Call `handler` with every Revision of which something else is said from now on."""
        self._handlers.append(handler)

    def get(self, revision: Key) -> Failure | None:
        return self._why.get(revision.namespace, {}).get(revision)

    def within(self, namespace: str) -> Collection[Key]:
        """The Revisions of a namespace whose Pods are refused."""
        return list(self._why.get(namespace, ()))

    def tell(self, revision: Key, message: str) -> None:
        """A Pod was refused; "": none is."""
        if message == (before.message if (before := self.get(revision)) else ""):
            return
        here = self._why.setdefault(revision.namespace, {})
        if message:
            here[revision] = Failure(FAILED_CREATE, message)
        else:
            del here[revision]
        if not here:
            del self._why[revision.namespace]
        for handler in self._handlers:
            handler(revision)
