# SPDX-License-Identifier: Apache-2.0
"""Which Pods show which objects in their volumes, so that a change costs only the Pods that it concerns. Pure. Called
by: `volumes.py`."""

from collections.abc import Collection

from tidegate.model.kinds import Kind
from tidegate.model.objects import Key, Object, key, uid
from tidegate.node.volumes.payload import Reference


class ShownObjects:
    """Pods are known by their uid."""

    def __init__(self) -> None:
        self._users: dict[tuple[Kind, Key], set[str]] = {}
        self._objects: dict[str, list[tuple[Kind, Key]]] = {}

    def users(self, kind: Kind, name: Key) -> Collection[str]:
        """The Pods that show an object."""
        return self._users.get((kind, name), ())

    def set(self, pod: Object, references: Collection[Reference]) -> None:
        """From now on the Pod shows these objects, and no others."""
        self.remove(uid(pod))
        namespace = key(pod).namespace
        named = [(reference.kind, Key(namespace, reference.name)) for reference in references]
        self._objects[uid(pod)] = named
        for each in named:
            self._users.setdefault(each, set()).add(uid(pod))

    def remove(self, pod_uid: str) -> None:
        for each in self._objects.pop(pod_uid, ()):
            users = self._users[each]
            users.discard(pod_uid)
            if not users:
                del self._users[each]
