# SPDX-License-Identifier: Apache-2.0
"""The resources that Envoys should have, by type and name.

In: `put` and `drop` of single resources. Out: look-ups, and a call of every subscriber for each resource whose content
changed. Called by: `gateway/publisher`, which writes; the streams of `server.py`, which subscribe.
"""

from collections.abc import Callable, Mapping

from tidegate.xds.resource import (
    CLUSTER_TYPE,
    ENDPOINTS_TYPE,
    LISTENER_TYPE,
    ROUTES_TYPE,
    SCOPE_TYPE,
    SECRET_TYPE,
    XdsResource,
)

TYPES = (CLUSTER_TYPE, ENDPOINTS_TYPE, SECRET_TYPE, LISTENER_TYPE, SCOPE_TYPE, ROUTES_TYPE)
"""The order in which changes are sent: a resource comes before the resources that refer to it."""

Changed = Callable[[str, str], None]
"""Called with type and name of a resource that was put or dropped."""


class Snapshot:
    """The desired resources."""

    def __init__(self) -> None:
        self._resources: dict[str, dict[str, XdsResource]] = {type_url: {} for type_url in TYPES}
        self._of_nodes: dict[str, dict[tuple[str, str], XdsResource]] = {}
        self._subscribers: set[Changed] = set()

    def get(self, type_url: str, name: str, node: str = "") -> XdsResource | None:
        """The resource for that Envoy: its own if it has one, else the one for all."""
        return self.own(type_url, name, node) or self._resources[type_url].get(name)

    def own(self, type_url: str, name: str, node: str) -> XdsResource | None:
        """The resource that only that Envoy has, in place of the one for all; None if it has none."""
        return self._of_nodes.get(node, {}).get((type_url, name))

    def all(self, type_url: str) -> Mapping[str, XdsResource]:
        return self._resources[type_url]

    def put(self, resource: XdsResource) -> None:
        before = self._resources[resource.type].get(resource.name)
        self._resources[resource.type][resource.name] = resource
        if before is None or before.version != resource.version:
            self._notify(resource.type, resource.name)

    def drop(self, type_url: str, name: str) -> None:
        if self._resources[type_url].pop(name, None) is not None:
            self._notify(type_url, name)

    def put_own(self, resource: XdsResource, node: str) -> None:
        """Put a resource for one Envoy only. There must be one of that name for all, too."""
        of_node = self._of_nodes.setdefault(node, {})
        before = of_node.get((resource.type, resource.name))
        of_node[resource.type, resource.name] = resource
        if before is None or before.version != resource.version:
            self._notify(resource.type, resource.name)

    def drop_own(self, type_url: str, name: str, node: str) -> None:
        if self._of_nodes.get(node, {}).pop((type_url, name), None) is not None:
            self._notify(type_url, name)

    def forget(self, node: str) -> None:
        """Drop the own resources of an Envoy that has ended."""
        self._of_nodes.pop(node, None)

    def subscribe(self, changed: Changed) -> None:
        self._subscribers.add(changed)

    def unsubscribe(self, changed: Changed) -> None:
        self._subscribers.discard(changed)

    def _notify(self, type_url: str, name: str) -> None:
        for changed in self._subscribers:
            changed(type_url, name)
