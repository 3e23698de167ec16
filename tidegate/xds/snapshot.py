# SPDX-License-Identifier: Apache-2.0
"""Every resource that Envoys are to have, by type and name.

In: `put` and `drop`, one service at a time. Out: look-ups, and a call of every listener for each resource that really
changed: the streams of `server.py`, which note it and send it when its turn has come.
"""

from collections.abc import Callable, Mapping

from tidegate.xds.resource import CLUSTER, ENDPOINTS, LISTENER, ROUTES, SCOPE, SECRET, XdsResource

TYPES = (CLUSTER, ENDPOINTS, SECRET, LISTENER, SCOPE, ROUTES)
"""In the order in which changes are sent: what is pointed at, then what points there."""

Changed = Callable[[str, str], None]
"""(type, name) of a resource that was put or dropped."""


class Snapshot:
    """The resources as they are wanted now."""

    def __init__(self) -> None:
        self._resources: dict[str, dict[str, XdsResource]] = {type_url: {} for type_url in TYPES}
        self._of_nodes: dict[str, dict[tuple[str, str], XdsResource]] = {}
        self._listeners: set[Changed] = set()

    def get(self, type_url: str, name: str, node: str = "") -> XdsResource | None:
        """A resource as that Envoy is to have it, which is the same for all but for those that have their own."""
        return self.own(type_url, name, node) or self._resources[type_url].get(name)

    def own(self, type_url: str, name: str, node: str) -> XdsResource | None:
        """What that Envoy alone is to have instead of what the others have; None for nothing."""
        return self._of_nodes.get(node, {}).get((type_url, name))

    def all(self, type_url: str) -> Mapping[str, XdsResource]:
        return self._resources[type_url]

    def put(self, resource: XdsResource) -> None:
        before = self._resources[resource.type].get(resource.name)
        self._resources[resource.type][resource.name] = resource
        if before is None or before.version != resource.version:
            self._tell(resource.type, resource.name)

    def drop(self, type_url: str, name: str) -> None:
        if self._resources[type_url].pop(name, None) is not None:
            self._tell(type_url, name)

    def put_own(self, resource: XdsResource, node: str) -> None:
        """That Envoy alone is to have this. It has to be there for the others too."""
        of_node = self._of_nodes.setdefault(node, {})
        before = of_node.get((resource.type, resource.name))
        of_node[resource.type, resource.name] = resource
        if before is None or before.version != resource.version:
            self._tell(resource.type, resource.name)

    def drop_own(self, type_url: str, name: str, node: str) -> None:
        if self._of_nodes.get(node, {}).pop((type_url, name), None) is not None:
            self._tell(type_url, name)

    def forget(self, node: str) -> None:
        """That Envoy will not come back."""
        self._of_nodes.pop(node, None)

    def listen(self, changed: Changed) -> None:
        self._listeners.add(changed)

    def leave(self, changed: Changed) -> None:
        self._listeners.discard(changed)

    def _tell(self, type_url: str, name: str) -> None:
        for changed in self._listeners:
            changed(type_url, name)
