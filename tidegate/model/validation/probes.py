# SPDX-License-Identifier: Apache-2.0
"""Probes of containers: one of the container that gets the requests may leave its port out, or name the container's;
any other must say its port."""

from collections.abc import Iterator

from tidegate.model.objects import Object
from tidegate.model.problems import Problem, invalid, missing_one_of, out_of_bounds, several_of

_LARGEST = 2**31 - 1
_HANDLERS = {"httpGet": "httpGet", "tcpSocket": "tcpSocket", "exec": "exec", "grpc": "gRPC"}
"""By field, what Knative's messages call it."""


def probe(given: Object, port_name: str | None) -> Iterator[Problem]:
    """A liveness or startup probe; `port_name` is None where the container has no port of its own."""
    for handler in ("httpGet", "tcpSocket"):
        if handler in given:
            yield from _port(handler, given[handler]["port"], port_name)
    named = [field for field in _HANDLERS if field in given]
    if not named:
        yield missing_one_of("httpGet", "tcpSocket", "exec", "grpc")
    elif len(named) > 1:
        yield several_of(*(_HANDLERS[field] for field in named))


def _port(handler: str, port: int | str, port_name: str | None) -> Iterator[Problem]:
    if port_name is None:
        if not port:
            yield invalid(port, f"{handler}.port", "Probe port must be specified")
    elif isinstance(port, str) and port and port != port_name:
        yield invalid(port, f"{handler}.port", "Probe port must match container port")


def readiness(given: Object, port_name: str | None) -> Iterator[Problem]:
    """A readiness probe. Without a period it is tried as often as useful, so it cannot count failures."""
    yield from probe(given, port_name)
    for field in ("periodSeconds", "initialDelaySeconds"):
        if given.get(field, 0) < 0:
            yield out_of_bounds(given[field], 0, _LARGEST, field)
    yield from _at_least_one(given, "successThreshold")
    if given.get("periodSeconds", 0):
        yield from _at_least_one(given, "timeoutSeconds")
        yield from _at_least_one(given, "failureThreshold")
        return
    for field in ("failureThreshold", "timeoutSeconds"):
        if given.get(field, 0):
            yield Problem(f"{field} is disallowed when periodSeconds is zero", (field,))


def _at_least_one(given: Object, field: str) -> Iterator[Problem]:
    if given.get(field, 0) < 1:
        yield out_of_bounds(given.get(field, 0), 1, _LARGEST, field)
