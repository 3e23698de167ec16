# SPDX-License-Identifier: Apache-2.0
"""Revision and Pods -> `Backend`: the addresses of the instances, and the limits of requests to them. Pure.

In: a Revision, its Pods, and addresses announced before a Pod's status has them. Out: a `Backend`. Called by: the
gateway.

| instances | a request without a free slot |
| --- | --- |
| one is ready, or may still become ready | waits |
| none is wanted, though some may be on standby or prepared | waits: that makes the autoscaler want one |
| all have failed, and none is restarted at once | is rejected with a reason |
"""

from collections.abc import Collection, Sequence

from tidegate.model import pods
from tidegate.model.objects import Object, spec
from tidegate.routing.table import Backend, Endpoint

CONTAINER_FAILED, REVISION_MISSING = "ContainerFailed", "RevisionMissing"
"""Why no instance will come, for any client. The output of a container is in the Revision's status only."""

_DEFAULT_TIMEOUT = 300.0  # seconds, as in Knative


def backend(revision: Object, instances: Sequence[Object], announced: Collection[str] = ()) -> Backend:
    """`instances`: the revision's Pods. `announced`: addresses ("ip:port") at which instances take requests, though
    their Pods do not say so yet."""
    wanted = spec(revision)
    request_seconds = float(wanted.get("timeoutSeconds") or _DEFAULT_TIMEOUT)
    response_start_seconds = float(wanted.get("responseStartTimeoutSeconds") or 0)
    found = {endpoint.address: endpoint for pod in instances if (endpoint := _endpoint(pod, announced)) is not None}
    endpoints = {address: Endpoint(address) for address in announced} | found
    return Backend(
        endpoints=tuple(sorted(endpoints.values())),
        http2=pods.serving_protocol(wanted) == "h2c",
        concurrency=int(wanted.get("containerConcurrency") or 0),
        queue_seconds=response_start_seconds or request_seconds,
        response_start_seconds=response_start_seconds,
        idle_seconds=float(wanted.get("idleTimeoutSeconds") or 0),
        request_seconds=request_seconds,
        unavailable="" if announced else unavailable(instances),
    )


def changed_pod_changes_backend(old: Object, new: Object) -> bool:
    """Whether a change of a Pod can change its revision's `Backend`."""
    return _relevant(old) != _relevant(new)


def new_pod_changes_backend(new: Object, known: Backend | None) -> bool:
    """Whether a new Pod can change its revision's `Backend`. A Pod that has not started yet can do so only if there is
    no backend, or if it is unavailable."""
    return known is None or bool(known.unavailable) or _relevant(new) != _NOT_STARTED


_NOT_STARTED = (None, False, False, False)


def _relevant(pod: Object) -> tuple[object, ...]:
    return _endpoint(pod), pods.failure(pod) is not None, pods.is_draining(pod), not pods.is_instance(pod)


def unavailable(instances: Sequence[Object]) -> str:
    """Why no instance will come; "" while one may come."""
    living = [pod for pod in instances if not pods.is_draining(pod) and pods.is_instance(pod)]
    return CONTAINER_FAILED if pods.failures(living) else ""


def _endpoint(pod: Object, announced: Collection[str] = ()) -> Endpoint | None:
    """The endpoint of a ready Pod, or of one that was ready and is being deleted or frozen. An announced Pod on
    standby, or a prepared one, has been woken; its label is about to be removed."""
    address = pods.endpoint(pod)
    woken = not pods.is_instance(pod) and address in announced
    if address is None or pods.is_frozen(pod) or (pods.is_prepared(pod) and not woken):
        return None
    leaving = pods.is_draining(pod) or (pods.is_standby(pod) and not woken)
    return Endpoint(address, draining=leaving) if leaving or woken or pods.is_ready(pod) else None
