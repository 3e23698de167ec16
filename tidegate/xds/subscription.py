# SPDX-License-Identifier: Apache-2.0
"""One Envoy's resources of one type, and the resources that it has yet to get.

In: Envoy's requests, and the names of resources that changed. Out: the next response. Only one response is in flight at
a time; Envoy acknowledges or rejects it as a whole. Rule: the incremental xDS protocol (envoyproxy.io/docs,
xds_protocol).

A rejected response is sent again one resource at a time, so that the wrong resource is found and does not block the
others. The response to a first request has all resources, even if there are none: an Envoy that starts waits for that
response before it serves requests. Called by: `stream.py`.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from envoy.service.discovery.v3 import discovery_pb2

from tidegate.xds.resource import XdsResource

_BATCH = 500  # resources in a response

FindResource = Callable[[str], XdsResource | None]
"""Returns the desired resource of that name."""

MaySend = Callable[[str, XdsResource | None], bool]
"""Whether a resource may be sent now, or removed (None)."""


class Acknowledgement(NamedTuple):
    """Envoy has acknowledged a resource, or rejected it with an error. `resource` None: a removal."""

    name: str
    resource: XdsResource | None
    error: str = ""


class _InFlight(NamedTuple):
    nonce: str
    sent: dict[str, XdsResource | None]


class Subscription:
    """One type on one stream. `wildcard`: Envoy subscribes to all resources of the type."""

    def __init__(self, type_url: str, find: FindResource, may_send: MaySend) -> None:
        self.type = type_url
        self.names: set[str] = set()
        self.wildcard = False
        self.rejected: dict[str, tuple[str, str]] = {}  # name -> version and error
        self.in_force: dict[str, str] = {}  # name -> version that Envoy has acknowledged
        self._held: set[str] = set()  # names that Envoy may have: it may keep valid parts of a rejected response
        self._find = find
        self._may_send = may_send
        self._due: dict[str, None] = {}  # in the order in which they became due
        self._suspects: dict[str, None] = {}  # names of a rejected response, to be sent one by one
        self._in_flight: _InFlight | None = None
        self._requested: set[str] = set()  # names to answer whatever Envoy has, with a removal if there is no resource
        self._is_first = True  # Envoy has no resources of the type yet
        self._count = 0

    def begin(self, known: Mapping[str, str], names: Iterable[str], existing: Iterable[str] | None) -> None:
        """Take in the first request: versions that Envoy has from an earlier stream, and names. `existing`: the names
        of all resources, for a type with wildcard subscription."""
        self.wildcard = existing is not None
        self.subscribe({*names, *known, *(existing or ())} - {"*"})
        self._requested -= known.keys()
        self._is_first = not known
        self.in_force = dict(known)
        self._held = set(known)

    def subscribe(self, names: Iterable[str]) -> None:
        """Envoy needs these resources, even if it had them before."""
        for name in names:
            self.names.add(name)
            self.in_force.pop(name, None)
            self._requested.add(name)
            self._due[name] = None

    def unsubscribe(self, names: Iterable[str]) -> None:
        for name in names:
            self.names.discard(name)
            self._requested.discard(name)
            self._due.pop(name, None)
            self._held.discard(name)
            self.in_force.pop(name, None)
            self.rejected.pop(name, None)

    def changed(self, name: str) -> None:
        """The resource of that name has changed, or is deleted."""
        if self.wildcard or name in self.names:
            self._due[name] = None

    def again(self, name: str) -> None:
        """Send that resource again, though it has not changed."""
        if name in self.names:
            self.subscribe((name,))

    def answered(self, nonce: str, error: str) -> list[Acknowledgement]:
        """Take in Envoy's ACK of a response, or its NACK with an error. Return what that says of each resource."""
        if self._in_flight is None or nonce != self._in_flight.nonce:
            return []
        sent, self._in_flight = self._in_flight.sent, None
        if error and len(sent) > 1:
            self._suspects |= dict.fromkeys(sent)
            for name in sent:  # Envoy may have applied the valid ones
                self.in_force.pop(name, None)
            return []
        return [self._settled(name, resource, error) for name, resource in sent.items()]

    def _settled(self, name: str, resource: XdsResource | None, error: str) -> Acknowledgement:
        self._suspects.pop(name, None)
        if error:
            self.rejected[name] = (resource.version if resource is not None else "", error)
        elif resource is None:
            self._held.discard(name)
            self.in_force.pop(name, None)
            self.rejected.pop(name, None)
        else:
            self.rejected.pop(name, None)
            if name not in self._requested:  # if it has been asked for meanwhile, it is sent again
                self.in_force[name] = resource.version
        return Acknowledgement(name, resource, error)

    @property
    def is_busy(self) -> bool:
        """Whether a response is in flight."""
        return self._in_flight is not None

    @property
    def is_first(self) -> bool:
        """Whether Envoy has no resources yet, and waits for the first response."""
        return self._is_first

    def next(self) -> discovery_pb2.DeltaDiscoveryResponse | None:
        """The next response; None if nothing is due, or a response is in flight."""
        if self.is_busy:
            return None
        most = len(self._due) if self._is_first else _BATCH
        sent = self._sendable(self._suspects, most=1) or self._sendable(self._due, most)
        if not sent and not (self.wildcard and self._is_first):
            return None
        self._is_first = False
        for name in sent:
            self._due.pop(name, None)
            self._requested.discard(name)
        self._held |= {name for name, resource in sent.items() if resource is not None}
        self._count += 1
        self._in_flight = _InFlight(str(self._count), sent)
        return self._response(self._in_flight)

    def _sendable(self, names: Mapping[str, None], most: int) -> dict[str, XdsResource | None]:
        """The resources of these names that may be sent now. Names that need nothing are removed from the queues."""
        sent: dict[str, XdsResource | None] = {}
        for name in list(names):
            resource = self._find(name)
            if not self._differs(name, resource):
                self._forget(name)
            elif self._may_send(name, resource):
                sent[name] = resource
                if len(sent) == most:
                    break
        return sent

    def _differs(self, name: str, resource: XdsResource | None) -> bool:
        if name in self._requested:
            return True
        if resource is None:
            return name in self._held
        if name in self.rejected and self.rejected[name][0] == resource.version:
            return False
        return self.in_force.get(name) != resource.version

    def _forget(self, name: str) -> None:
        self._due.pop(name, None)
        self._suspects.pop(name, None)
        self._requested.discard(name)

    def _response(self, in_flight: _InFlight) -> discovery_pb2.DeltaDiscoveryResponse:
        sent = in_flight.sent
        return discovery_pb2.DeltaDiscoveryResponse(
            type_url=self.type,
            nonce=in_flight.nonce,
            resources=[
                discovery_pb2.Resource(name=name, version=resource.version, resource=resource.body)
                for name, resource in sent.items()
                if resource is not None
            ],
            removed_resources=[name for name, resource in sent.items() if resource is None],
        )
