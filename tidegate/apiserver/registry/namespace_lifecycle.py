# SPDX-License-Identifier: Apache-2.0
"""The rules that bind objects to namespaces, named after Kubernetes' admission plugin NamespaceLifecycle.

A namespaced object is created only in a namespace that exists and is not being deleted. The initial namespaces are
created at the start and cannot be deleted.
"""

from tidegate.model.kinds import NAMESPACE, Kind
from tidegate.model.names import SYSTEM_NAMESPACE
from tidegate.model.objects import Key, is_deleting
from tidegate.model.registry import rejections
from tidegate.store.store import Store

INITIAL_NAMESPACES = ("default", "kube-system", SYSTEM_NAMESPACE)


def require_active(store: Store, kind: Kind, namespace: str, name: str) -> None:
    """Raise `NotFound` or `Forbidden` unless an object of the kind may be created in the namespace now."""
    if not kind.namespaced:
        return
    found = store.get(NAMESPACE.resource, Key("", namespace))
    if found is None:
        raise rejections.not_found(NAMESPACE, namespace)
    if is_deleting(found):
        raise rejections.terminating(kind, name, namespace)


def require_deletable(kind: Kind, name: str) -> None:
    """Raise `Forbidden` for an initial namespace."""
    if kind is NAMESPACE and name in INITIAL_NAMESPACES:
        raise rejections.forbidden(kind, name, "this namespace may not be deleted")
