# SPDX-License-Identifier: Apache-2.0
"""What one Envoy has of one type of resource, and what it is still to get.

In: its requests, and the names of resources that changed. Out: the next response. One response is under way at a time;
Envoy's answer to it says whether what it carried is in force. Rule: the incremental xDS protocol (envoyproxy.io/docs,
xds_protocol).

A response that Envoy rejects is sent again one resource at a time, so that the one that is wrong is found and does not
stop the others. A first request is answered with all that there is, also if that is nothing: Envoy, as it starts, waits
for that answer before it serves anyone.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from envoy.service.discovery.v3 import discovery_pb2

from tidegate.xds.resource import XdsResource

_AT_ONCE = 500  # resources in a response

Find = Callable[[str], XdsResource | None]
"""The resource of that name as it is wanted now."""

May = Callable[[str, XdsResource | None], bool]
"""Whether a resource may be sent now, or (None) be taken away."""


class Acknowledgement(NamedTuple):
    """What became of a resource that was sent: in force, or rejected with a reason. `resource` None: taken away."""

    name: str
    resource: XdsResource | None
    error: str = ""


class _UnderWay(NamedTuple):
    nonce: str
    sent: dict[str, XdsResource | None]


class Subscription:
    """One type on one stream. `wildcard`: Envoy wants whatever there is."""

    def __init__(self, type_url: str, find: Find, may: May) -> None:
        self.type = type_url
        self.names: set[str] = set()
        self.wildcard = False
        self.rejected: dict[str, tuple[str, str]] = {}  # name -> version and why
        self.in_force: dict[str, str] = {}  # name -> version, as Envoy confirmed it
        self._held: set[str] = set()  # what Envoy may have: of a response that it rejects it may keep what was right
        self._find = find
        self._may = may
        self._due: dict[str, None] = {}  # in the order in which they came to be due
        self._suspects: dict[str, None] = {}  # of a rejected response: to be sent one by one
        self._under_way: _UnderWay | None = None
        self._asked: set[str] = set()  # to be answered whatever Envoy has, and "there is none" is an answer too
        self._is_first = True  # for an Envoy that has nothing yet
        self._count = 0

    def begin(self, known: Mapping[str, str], names: Iterable[str], there: Iterable[str] | None) -> None:
        """The first request: what Envoy has from an earlier stream, and what it wants. `there`: all that there is, for
        a type of which Envoy wants everything."""
        self.wildcard = there is not None
        self.subscribe({*names, *known, *(there or ())} - {"*"})
        self._asked -= known.keys()
        self._is_first = not known
        self.in_force = dict(known)
        self._held = set(known)

    def subscribe(self, names: Iterable[str]) -> None:
        """Envoy wants these, whether or not it had them before."""
        for name in names:
            self.names.add(name)
            self.in_force.pop(name, None)
            self._asked.add(name)
            self._due[name] = None

    def unsubscribe(self, names: Iterable[str]) -> None:
        for name in names:
            self.names.discard(name)
            self._asked.discard(name)
            self._due.pop(name, None)
            self._held.discard(name)
            self.in_force.pop(name, None)
            self.rejected.pop(name, None)

    def changed(self, name: str) -> None:
        """The resource of that name is another now, or gone."""
        if self.wildcard or name in self.names:
            self._due[name] = None

    def again(self, name: str) -> None:
        """Envoy needs that resource once more, though it has not changed."""
        if name in self.names:
            self.subscribe((name,))

    def answered(self, nonce: str, error: str) -> list[Acknowledgement]:
        """Envoy's word on a response; "" for consent."""
        if self._under_way is None or nonce != self._under_way.nonce:
            return []
        sent, self._under_way = self._under_way.sent, None
        if error and len(sent) > 1:
            self._suspects |= dict.fromkeys(sent)
            for name in sent:  # what was right Envoy may have taken
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
            if name not in self._asked:  # meanwhile; then it needs the resource once more
                self.in_force[name] = resource.version
        return Acknowledgement(name, resource, error)

    @property
    def is_busy(self) -> bool:
        """Whether Envoy has yet to answer something."""
        return self._under_way is not None

    @property
    def is_first(self) -> bool:
        """Whether it has nothing yet, and waits for the first answer."""
        return self._is_first

    def next(self) -> discovery_pb2.DeltaDiscoveryResponse | None:
        """What to send now; None when there is nothing, or a response is still under way."""
        if self.is_busy:
            return None
        most = len(self._due) if self._is_first else _AT_ONCE
        sent = self._sendable(self._suspects, most=1) or self._sendable(self._due, most)
        if not sent and not (self.wildcard and self._is_first):
            return None
        self._is_first = False
        for name in sent:
            self._due.pop(name, None)
            self._asked.discard(name)
        self._held |= {name for name, resource in sent.items() if resource is not None}
        self._count += 1
        self._under_way = _UnderWay(str(self._count), sent)
        return self._response(self._under_way)

    def _sendable(self, names: Mapping[str, None], most: int) -> dict[str, XdsResource | None]:
        """Of these names, those whose turn has come; those that Envoy needs no more are struck off."""
        sent: dict[str, XdsResource | None] = {}
        for name in list(names):
            resource = self._find(name)
            if not self._differs(name, resource):
                self._forget(name)
            elif self._may(name, resource):
                sent[name] = resource
                if len(sent) == most:
                    break
        return sent

    def _differs(self, name: str, resource: XdsResource | None) -> bool:
        if name in self._asked:
            return True
        if resource is None:
            return name in self._held
        if name in self.rejected and self.rejected[name][0] == resource.version:
            return False
        return self.in_force.get(name) != resource.version

    def _forget(self, name: str) -> None:
        self._due.pop(name, None)
        self._suspects.pop(name, None)
        self._asked.discard(name)

    def _response(self, under_way: _UnderWay) -> discovery_pb2.DeltaDiscoveryResponse:
        sent = under_way.sent
        return discovery_pb2.DeltaDiscoveryResponse(
            type_url=self.type,
            nonce=under_way.nonce,
            resources=[
                discovery_pb2.Resource(name=name, version=resource.version, resource=resource.body)
                for name, resource in sent.items()
                if resource is not None
            ],
            removed_resources=[name for name, resource in sent.items() if resource is None],
        )
