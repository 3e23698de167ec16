# SPDX-License-Identifier: Apache-2.0
"""Which Pods are deleted when a Revision scales down. Pure.

In: the Pods of a Revision, and the requests in flight at each. Out: the surplus, in the order of deletion. Called by:
`instances`. The order:

1. a Pod that cannot run (e.g. in its back-off, or no node has room);
2. a Pod that has not started to run, then one that runs and is not ready;
3. among equals, the Pod with the fewest requests in flight, so an idle one first;
4. then the Pod with the most restarts;
5. then the youngest.

Kubernetes ranks the Pods of a ReplicaSet like this, with two differences: here a Pod that cannot run is deleted before
one that is about to start, and requests in flight count.
"""

from collections.abc import Mapping, Sequence

from tidegate.model import pods
from tidegate.model.objects import Object, status


def surplus_pods(running: Sequence[Object], surplus: int, load: Mapping[str, int]) -> list[Object]:
    """The first `surplus` Pods in the order of deletion. `load`: requests in flight by "ip:port"."""
    if surplus <= 0:
        return []

    def rank(numbered: tuple[int, Object]) -> tuple[int, int, int, int]:
        age, pod = numbered
        return _progress(pod), load.get(pods.endpoint(pod) or "", 0), -pods.restarts(pod), -age

    by_age = sorted(running, key=lambda pod: pod["metadata"].get("creationTimestamp", ""))
    return [pod for _, pod in sorted(enumerate(by_age), key=rank)[:surplus]]


def _progress(pod: Object) -> int:
    """How near a Pod is to serving requests."""
    if pods.is_ready(pod):
        return 3
    if pods.failure(pod) is not None or pods.unschedulable(pod) is not None:
        return 0
    return 2 if status(pod).get("phase") == "Running" else 1
