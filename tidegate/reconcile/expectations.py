# SPDX-License-Identifier: Apache-2.0
"""What an object is about to say, remembered until the object says it.

A part that writes an object, or that another part notifies of a write, often knows what the object will say before its
watch brings it. It must not wait for that, and it must not act twice. So it expects a value, counts on it, and confirms
it once the object says the same, or something later. As `ControllerExpectations` in Kubernetes
(pkg/controller/controller_utils.go).

In: values under keys. Out: the values that are neither confirmed nor lapsed; a lapse wakes its key, because no object
will. Called by:

| expectation | key, subject | value | lapses after | confirmed by |
| --- | --- | --- | --- | --- |
| `apiserver/registry/quota.py`: accepted changes | namespace, revision | change | - | the store |
| `autoscaler/controller.py`: scales announced | PodAutoscaler | scale | - | its own write |
| `controllers/serving/instances.py`: scales announced | Revision | scale | 5 s | its PodAutoscaler |
| `controllers/serving/instances.py`: Pods deleted | Revision, Pod's UID | - | 300 s | the Pod |
| `controllers/serving/instances.py`: Pods woken | Revision, Pod's UID | - | 5 s | the Pod's label |
| `gateway/publisher/backends.py`: addresses announced | Revision, Pod | address | - | the Pod |
| `node/agent.py`: Pods being created | Pod | Pod | - | the store |
| `node/agent.py`: Pods woken from standby | Pod | - | 5 s | the Pod's label |

An expectation without a timeout is for a write that always reports its end, or that must be waited for (a full disk
may delay a status for hours).
"""

import itertools
import math
from collections.abc import Callable, Hashable, Mapping
from typing import Generic, NamedTuple, TypeVar

from tidegate.kit.clock import Clock

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

WakeAfter = Callable[[K, float], None]


class _Expected(NamedTuple, Generic[V]):
    value: V
    until: float


class Expectations(Generic[K, V]):
    """Values by key, and by subject where a key has several (e.g. the Pods of a Revision).

    `timeout`: seconds after which an expectation lapses. `wake_after`: `WorkQueue.wake_after`, which then gives the key
    a turn. An expectation has no task of its own: the clock decides at each reading what has lapsed.
    """

    def __init__(self, clock: Clock, timeout: float = math.inf, wake_after: WakeAfter[K] | None = None) -> None:
        if (timeout == math.inf) != (wake_after is None):
            raise ValueError("a timeout needs a queue whose key it wakes, and only a timeout does")
        self._clock = clock
        self._timeout = timeout
        self._wake_after = wake_after
        self._expected: dict[K, dict[Hashable, _Expected[V]]] = {}

    def __len__(self) -> int:
        """How many keys have an expectation. A lapsed one counts until it is read."""
        return len(self._expected)

    def expect(self, key: K, value: V, subject: Hashable = None) -> None:
        """Expect `value` from now on, in place of an earlier one."""
        subjects = self._expected.setdefault(key, {})
        subjects.pop(subject, None)  # so that the subjects stay in the order in which they lapse
        subjects[subject] = _Expected(value, self._clock.monotonic() + self._timeout)
        self._arm(key, subjects)

    def get(self, key: K, subject: Hashable = None) -> V | None:
        """The expected value; None if there is none."""
        found = self._unlapsed(key).get(subject)
        return None if found is None else found.value

    def all(self, key: K) -> Mapping[Hashable, V]:
        """The expected values of a key, by subject."""
        return {subject: each.value for subject, each in self._unlapsed(key).items()}

    def confirm(self, key: K, subject: Hashable = None) -> None:
        """The object says it, or something later; or it will never say it."""
        subjects = self._expected.get(key)
        if subjects is None:
            return
        subjects.pop(subject, None)
        if not subjects:
            del self._expected[key]

    def forget(self, key: K) -> None:
        """Expect nothing of a key any more."""
        self._expected.pop(key, None)

    def _unlapsed(self, key: K) -> Mapping[Hashable, _Expected[V]]:
        subjects = self._expected.get(key)
        if subjects is None:
            return {}
        now = self._clock.monotonic()
        for subject in list(itertools.takewhile(lambda name: subjects[name].until <= now, subjects)):
            self.confirm(key, subject)
        if subjects:
            self._arm(key, subjects)
        return subjects

    def _arm(self, key: K, subjects: Mapping[Hashable, _Expected[V]]) -> None:
        """Wake `key` when its first subject lapses. This is repeated at each reading: an earlier turn of the key takes
        the place of its timer."""
        if self._wake_after is not None:
            first = next(iter(subjects.values()))
            self._wake_after(key, first.until - self._clock.monotonic())
