# SPDX-License-Identifier: Apache-2.0
"""The allocatable resources of this node, and the Pods that have reserved them. Pure.

In: the allocatable resources; Pods that start, and Pods that have ended. Out: a reservation for a Pod, or the reason
for a refusal, in the kube-scheduler's words; the waiting Pods that fit into freed resources. Called by: `binder.py`.

Rule: Kubernetes' NodeResourcesFit. A Pod fits if its requests and the requests of all bound Pods are at most the
allocatable resources. A limit counts as the request of a container without a request. A Pod without both counts only
toward the number of Pods. A small Pod may pass a large Pod that waits.
"""

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import NamedTuple

from tidegate.model import container_resources
from tidegate.model.objects import Key, Object, key, uid
from tidegate.model.quota import Amounts
from tidegate.model.text import quantities

_NONE = Fraction(0)


class _Waiting(NamedTuple):
    since: str
    turn: int
    asks: Amounts


class Capacity:
    """A Pod with a reservation is known by its uid, a waiting Pod by its key."""

    def __init__(self, allocatable: Mapping[str, str]) -> None:
        """`allocatable`: quantities by resource, as in a Node's status; "pods" is the most Pods."""
        self._free = {resource: quantities.parse(text).amount for resource, text in allocatable.items()}
        self._given: dict[str, Amounts] = {}
        self._waiting: dict[Key, _Waiting] = {}
        self._turns = 0

    def reserve(self, pod: Object) -> None:
        """Reserve the requests of a bound Pod, also if they exceed the free resources."""
        self._waiting.pop(key(pod), None)
        if uid(pod) not in self._given:
            self._given[uid(pod)] = asks = asked(pod)
            self._take(asks, 1)

    def try_reserve(self, pod: Object) -> str:
        """Reserve the requests of an unbound Pod and return "". If they exceed the free resources, return the reason,
        and the Pod waits."""
        asks = asked(pod)
        lacking = _lacking(asks, self._free) if uid(pod) not in self._given else []
        if not lacking:
            self.reserve(pod)
            return ""
        if key(pod) not in self._waiting:
            self._turns += 1
            since = pod["metadata"].get("creationTimestamp", "")
            self._waiting[key(pod)] = _Waiting(since, self._turns, asks)
        return f"0/1 nodes are available: {', '.join(f'1 {reason}' for reason in lacking)}."

    def release(self, pod_uid: str) -> None:
        """The Pod has ended: free its requests."""
        self._take(self._given.pop(pod_uid, {}), -1)

    def forget(self, name: Key) -> None:
        """A Pod does not wait any more."""
        self._waiting.pop(name, None)

    def fitting(self) -> Iterator[Key]:
        """The waiting Pods that fit now, all together; the oldest first."""
        free = dict(self._free)
        for name, waiting in sorted(self._waiting.items(), key=lambda item: item[1][:2]):
            if not _lacking(waiting.asks, free):
                for resource, amount in waiting.asks.items():
                    free[resource] -= amount
                yield name

    def _take(self, asks: Amounts, times: int) -> None:
        for resource, amount in asks.items():
            self._free[resource] = self._free.get(resource, _NONE) - times * amount


def asked(pod: Object) -> Amounts:
    """The requests of a Pod: one Pod, and what its containers request together."""
    return {"pods": Fraction(1), **container_resources.of_pod(pod, _requests)}


def _requests(container: Object) -> Amounts:
    written = container_resources.requests(container).items()
    return {resource: quantities.parse(amount).amount for resource, amount in written}


def _lacking(asks: Amounts, free: Amounts) -> list[str]:
    short = [resource for resource, amount in asks.items() if amount > max(free.get(resource, _NONE), _NONE)]
    return ["Too many pods" if resource == "pods" else f"Insufficient {resource}" for resource in sorted(short)]
