# SPDX-License-Identifier: Apache-2.0
"""Reports to the gateway that an instance is ready, or not any more, before its Pod's status does.

In: instances after each change. Out: calls of `announce`, one for each change. Called by: `pod_statuses.py`,
`agent.py`.
"""

from collections.abc import Callable

from tidegate.model.objects import Key, Object, key
from tidegate.node.instance import Instance

Announce = Callable[[Object, str | None], None]
"""(Pod, "ip:port"): the instance takes requests at that endpoint from now on; None: nowhere."""


def no_announcement(pod: Object, endpoint: str | None) -> None:
    """Default `announce`: does nothing; readers learn from the Pod's status."""


class Announcements:
    """The instances that were announced as ready."""

    def __init__(self, announce: Announce = no_announcement) -> None:
        self._announce = announce
        self._announced: set[Key] = set()

    @property
    def is_heard(self) -> bool:
        """Whether a part listens."""
        return self._announce is not no_announcement

    def update(self, pod: Object, instance: Instance) -> bool:
        """Announce a change of an instance's readiness. False if there is none."""
        if instance.ready == (instance.key in self._announced):
            return False
        self._announced ^= {instance.key}
        self._announce(pod, instance.endpoint if instance.ready else None)
        return True

    def withdraw(self, pod: Object) -> None:
        """Announce that the Pod's instance takes no requests, also if it was announced or written as ready."""
        self._announced.discard(key(pod))
        self._announce(pod, None)

    def retract(self, pod: Object) -> None:
        """Withdraw an instance if it was announced."""
        if key(pod) in self._announced:
            self.withdraw(pod)

    def forget(self, name: Key) -> None:
        """The instance has ended."""
        self._announced.discard(name)
