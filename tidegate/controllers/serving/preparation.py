# SPDX-License-Identifier: Apache-2.0
"""When a Revision gets the prepared Pods that it asks for.

In: the places that a Revision asks for, and what happens to its Pods. Out: the places that it gets, and the moment of
the next prepared Pod. Called by: `instances`.

| event | then |
| --- | --- |
| an instance starts | the next Pod is prepared 0.5 s after all instances are ready: the processor is for requests |
| Pods of four Revisions are being prepared | those of another Revision are tried a second later |
| a prepared Pod is rejected, or ends | the next one is tried after 10 s, doubling to 5 min |
| a quota rejects an instance | the prepared Pods of its namespace make room, for a minute |
| the machine has no free place | the Revisions that were used last get places (`prepared_places`) |
"""

import math
from collections import Counter
from collections.abc import Collection

from tidegate.client.context import Context
from tidegate.controllers.serving import prepared
from tidegate.controllers.serving.prepared_places import PreparedPlaces
from tidegate.kit.backoff import Backoff
from tidegate.model import pods
from tidegate.model.objects import Key, Object, key, status
from tidegate.model.text import quantities
from tidegate.reconcile.queue import WorkQueue

QUIET_SECONDS = 0.5
"""Seconds from the moment when all instances are ready to the next prepared Pod."""

GIVE_WAY_SECONDS = 60.0
"""Seconds for which a namespace whose quota has rejected an instance has no prepared Pods."""

_REVISIONS_AT_ONCE = 4
_TURN_SECONDS = 1.0  # until the next try, while that many are
_LONGEST_TURN = 30.0  # seconds for which a Revision counts as one of them: a pull may take hours
_RETRY_WAITS = 10.0, 300.0  # seconds: the first and the longest wait after a failure
_CONTAINER_BYTES = 4 * 1024**2  # the most memory of a prepared container
_MEMORY_PART = 32  # prepared containers may take a 32nd of the memory
_MOST = 200  # a Node has 1,000 Pods


class Preparation:
    """The prepared Pods of all Revisions. `work`: the queue of the Revisions' instances."""

    def __init__(self, context: Context, work: WorkQueue[Key]) -> None:
        self._nodes = context.informers.nodes
        self._configs = context.configs
        self._clock = context.clock
        self._work = work
        self._places = PreparedPlaces(_MOST, work.wake)
        self._quiet_at: dict[Key, float] = {}  # infinite while instances start
        self._retry_at: dict[Key, float] = {}
        self._backoff = Backoff(*_RETRY_WAITS)
        self._yielding: dict[str, float] = {}  # by namespace: until when
        self._preparing: dict[Key, float] = {}  # until when each counts
        self._nodes.subscribe(lambda old, new: self._set_limit())
        context.configs.subscribe(self._set_limit)
        context.informers.pods.subscribe(self._on_pod)

    def adopt(self, existing: Collection[Object]) -> None:
        """Let the Revisions that have prepared Pods keep their places over a restart."""
        by_age = sorted(filter(pods.is_prepared, existing), key=lambda pod: pod["metadata"]["creationTimestamp"])
        counted = Counter(revision for pod in by_age if (revision := pods.revision_key(pod)) is not None)
        for revision, count in counted.items():
            self._places.ask(revision, count, in_use=True)

    def places(self, revision: Object, autoscaler: Object) -> int:
        """How many prepared Pods the Revision may have now."""
        name = key(revision)
        wait = self._yielding.get(name.namespace, 0.0) - self._clock.monotonic()
        if wait > 0:
            self._work.wake_after(name, wait)
        else:
            self._yielding.pop(name.namespace, None)
        asked = prepared.places(revision, autoscaler) if wait <= 0 else 0
        return self._places.ask(name, asked, in_use=status(autoscaler).get("desiredScale", 0) > 0)

    def use(self, name: Key) -> None:
        """The Revision starts an instance."""
        self._places.use(name)

    def wait(self, name: Key, *, starting: bool) -> float:
        """Seconds until the next Pod of the Revision is prepared; infinite if that depends on a change. `starting`: an
        instance is not ready yet."""
        now = self._clock.monotonic()
        quiet_at = self._quiet_at.get(name, 0.0)
        if starting:
            self._quiet_at[name] = math.inf
            return math.inf
        if quiet_at == math.inf:
            self._quiet_at[name] = quiet_at = now + QUIET_SECONDS
        wait = max(quiet_at, self._retry_at.get(name, 0.0)) - now
        if wait > 0:
            return wait
        self._quiet_at.pop(name, None)
        self._preparing = {other: until for other, until in self._preparing.items() if until > now}
        if len(self._preparing) >= _REVISIONS_AT_ONCE and name not in self._preparing:
            return _TURN_SECONDS
        self._preparing[name] = now + _LONGEST_TURN
        return 0.0

    def failed(self, name: Key) -> None:
        """A prepared Pod of the Revision was rejected, or has ended: the next one is tried later."""
        self._preparing.pop(name, None)
        wait = self._backoff.next(name)
        self._retry_at[name] = self._clock.monotonic() + wait
        self._work.wake_after(name, wait)

    def _forget_failures(self, name: Key) -> None:
        self._retry_at.pop(name, None)
        self._backoff.forget(name)

    def give_way(self, namespace: str) -> None:
        """A quota of the namespace has no room for an instance: prepared Pods make some."""
        for revision in self._places.holders(namespace):
            self._yielding[namespace] = self._clock.monotonic() + GIVE_WAY_SECONDS
            self._work.wake(revision)

    def forget(self, name: Key) -> None:
        """The Revision does not exist any more."""
        self._places.forget(name)
        self._quiet_at.pop(name, None)
        self._preparing.pop(name, None)
        self._forget_failures(name)

    def _on_pod(self, old: Object | None, new: Object | None) -> None:
        """The containers of a prepared Pod are created, or cannot be."""
        revision = pods.revision_key(new or {"metadata": {}})
        if new is None or revision is None or not pods.is_prepared(new):
            return
        if pods.is_created(new) or pods.failure(new):
            self._preparing.pop(revision, None)
        if pods.is_created(new):
            self._forget_failures(revision)

    def _set_limit(self) -> None:
        configured, nodes = self._configs.current.deployment.prepared_pods_limit, self._nodes.list()
        if configured is not None or nodes:
            self._places.limit(most_by_memory(nodes) if configured is None else configured)


def most_by_memory(nodes: Collection[Object]) -> int:
    """The most prepared Pods on these Nodes that take a small part of their memory."""
    memory = sum(quantities.parse((status(node).get("capacity") or {}).get("memory", "0")).amount for node in nodes)
    return min(int(memory) // _MEMORY_PART // _CONTAINER_BYTES, _MOST)
