# SPDX-License-Identifier: Apache-2.0
"""The probes of containers. A probe of the serving container may leave out its port, or name the container's port; a
probe of another container must set its port. The numbers of a probe have Kubernetes' own rules (`wrong`)."""

from collections.abc import Iterator

from tidegate.model.field_errors import FieldError, invalid, missing_one_of, out_of_bounds, several_of
from tidegate.model.objects import Object
from tidegate.model.validation.invalid_value import InvalidValue

ALL = ("readinessProbe", "livenessProbe", "startupProbe")

_LARGEST = 2**31 - 1
_COUNTS = ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold")
_HANDLERS = {"httpGet": "httpGet", "tcpSocket": "tcpSocket", "exec": "exec", "grpc": "gRPC"}
"""The names of handlers in Knative's messages, by field."""


def wrong(named: str, given: Object) -> Iterator[InvalidValue]:
    """The values that Kubernetes rejects in any Pod (ValidateProbe). `named`: one of `ALL`."""
    for field in _COUNTS:
        if given.get(field, 0) < 0:
            yield InvalidValue(field, given[field], "must be greater than or equal to 0")
    grace, successes = given.get("terminationGracePeriodSeconds"), given.get("successThreshold", 0)
    if named != "readinessProbe" and successes > 1:
        yield InvalidValue("successThreshold", successes, "must be 1")
    if grace is not None and named == "readinessProbe":
        yield InvalidValue("terminationGracePeriodSeconds", grace, "must not be set for readinessProbes")
    elif grace is not None and grace <= 0:
        yield InvalidValue("terminationGracePeriodSeconds", grace, "must be greater than 0")


def checked(named: str, given: Object, port_name: str | None) -> Iterator[FieldError]:
    """The errors of a revision's probe. `port_name` is None if the container has no port. Knative does not check the
    numbers of liveness and startup probes: the Pod is rejected instead, and the conditions of the Revision say why."""
    yield from _handler(given, port_name)
    if named == "readinessProbe":
        yield from _readiness(given)


def _handler(given: Object, port_name: str | None) -> Iterator[FieldError]:
    for handler in ("httpGet", "tcpSocket"):
        if handler in given:
            yield from _port(handler, given[handler]["port"], port_name)
    named = [field for field in _HANDLERS if field in given]
    if not named:
        yield missing_one_of("httpGet", "tcpSocket", "exec", "grpc")
    elif len(named) > 1:
        yield several_of(*(_HANDLERS[field] for field in named))


def _port(handler: str, port: int | str, port_name: str | None) -> Iterator[FieldError]:
    if port_name is None:
        if not port:
            yield invalid(port, f"{handler}.port", "Probe port must be specified")
    elif isinstance(port, str) and port and port != port_name:
        yield invalid(port, f"{handler}.port", "Probe port must match container port")


def _readiness(given: Object) -> Iterator[FieldError]:
    """Without a period, Tidegate chooses when to try, so the probe cannot count failures."""
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
            yield FieldError(f"{field} is disallowed when periodSeconds is zero", (field,))


def _at_least_one(given: Object, field: str) -> Iterator[FieldError]:
    if given.get(field, 0) < 1:
        yield out_of_bounds(given.get(field, 0), 1, _LARGEST, field)
