# SPDX-License-Identifier: Apache-2.0
"""Revision and Pods -> `Backend`: where its instances are, and how requests to them are to be treated.

| instances | a request that finds no free slot |
| --- | --- |
| one is ready, or may still become so | waits |
| none is wanted, though some may stand by | waits: it is what makes the autoscaler want one |
| all there are have failed, and none is started again at once | is refused with a word for that |
"""

from collections.abc import Collection, Sequence

from tidegate.model import pods
from tidegate.model.objects import Object, spec
from tidegate.routing.table import Backend, Endpoint

CONTAINER_FAILED, REVISION_MISSING = "ContainerFailed", "RevisionMissing"
"""Why no instance will come, for clients: they may be anybody. What a container said is in the Revision's status."""

_DEFAULT_TIMEOUT = 300.0  # seconds; what Knative fills in


def backend(revision: Object, instances: Sequence[Object], announced: Collection[str] = ()) -> Backend:
    """`instances`: the revision's Pods; `announced`: where others of them already take requests, "ip:port"."""
    wanted = spec(revision)
    request_seconds = float(wanted.get("timeoutSeconds") or _DEFAULT_TIMEOUT)
    response_start_seconds = float(wanted.get("responseStartTimeoutSeconds") or 0)
    told = {endpoint.address: endpoint for pod in instances if (endpoint := _endpoint(pod, announced)) is not None}
    endpoints = {address: Endpoint(address) for address in announced} | told
    return Backend(
        endpoints=tuple(sorted(endpoints.values())),
        http2=_port_name(wanted) == "h2c",
        concurrency=int(wanted.get("containerConcurrency") or 0),
        queue_seconds=response_start_seconds or request_seconds,
        response_start_seconds=response_start_seconds,
        idle_seconds=float(wanted.get("idleTimeoutSeconds") or 0),
        request_seconds=request_seconds,
        unavailable="" if announced else unavailable(instances),
    )


def says_another(old: Object, new: Object) -> bool:
    """Whether a Pod says anything else for its revision's `Backend` than before."""
    return _said(old) != _said(new)


def may_help(new: Object, known: Backend | None) -> bool:
    """Whether a Pod that has come makes another of its revision's `Backend`: one that is yet to start only does where
    the others cannot."""
    return known is None or bool(known.unavailable) or _said(new) != _NOTHING


_NOTHING = (None, False, False, False)


def _said(pod: Object) -> tuple[object, ...]:
    return _endpoint(pod), pods.failure(pod) is not None, pods.is_draining(pod), pods.is_standby(pod)


def unavailable(instances: Sequence[Object]) -> str:
    """Why no instance will come; empty while one may."""
    living = [pod for pod in instances if not pods.is_draining(pod) and not pods.is_standby(pod)]
    return CONTAINER_FAILED if pods.failures(living) else ""


def _endpoint(pod: Object, announced: Collection[str] = ()) -> Endpoint | None:
    """A Pod that is ready, or that was and is on its way out or to its standby. One that stands by and is announced has
    been woken, which its Pod is about to say."""
    address = pods.endpoint(pod)
    if address is None or pods.is_frozen(pod):
        return None
    woken = pods.is_standby(pod) and address in announced
    leaving = pods.is_draining(pod) or (pods.is_standby(pod) and not woken)
    return Endpoint(address, draining=leaving) if leaving or woken or pods.is_ready(pod) else None


def _port_name(revision_spec: Object) -> str:
    ports = pods.serving_container(revision_spec).get("ports") or [{}]
    return str(ports[0].get("name") or "")
