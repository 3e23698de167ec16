# SPDX-License-Identifier: Apache-2.0
"""Kubernetes objects are plain JSON dicts, read through the functions of this module, so that unknown fields are kept.

All parts share these dicts: a cache returns the same dict to every caller. Never change an object from a cluster
or an informer in place: copy it with `copy.deepcopy`, or build a new one.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

Object = dict[str, Any]


class Key(NamedTuple):
    """Namespace and name of an object. `namespace` is "" for cluster-wide kinds."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


def key(obj: Object) -> Key:
    metadata = obj["metadata"]
    return Key(metadata.get("namespace", ""), metadata["name"])


def labels(obj: Object) -> Mapping[str, str]:
    return obj.get("metadata", {}).get("labels") or {}


def annotations(obj: Object) -> Mapping[str, str]:
    return obj.get("metadata", {}).get("annotations") or {}


def listed(obj: Object, annotation: str) -> tuple[str, ...]:
    """The items of an annotation with a list, e.g. "a,b"."""
    return tuple(item for item in annotations(obj).get(annotation, "").split(",") if item)


def first_annotation(obj: Object, names: Sequence[str]) -> str | None:
    """The value of an annotation with several spellings: the first one that is set."""
    found = annotations(obj)
    return next((found[name] for name in names if name in found), None)


def spec(obj: Object) -> Object:
    return obj.get("spec") or {}


def status(obj: Object) -> Object:
    return obj.get("status") or {}


def uid(obj: Object) -> str:
    return str(obj["metadata"]["uid"])


def generation(obj: Object) -> int:
    return int(obj["metadata"].get("generation", 0))


def resource_version(obj: Object) -> int:
    """The revision of the store at which this object was written; 0 for an object that was never stored."""
    return int(obj.get("metadata", {}).get("resourceVersion") or 0)


def is_deleting(obj: Object) -> bool:
    """Whether deletion has begun: finalizers or a grace period delay the removal."""
    return "deletionTimestamp" in obj["metadata"]


def owner_reference(owner: Object) -> Object:
    """The entry in `metadata.ownerReferences` of a child that `owner`'s controller creates."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def controller_of(obj: Object) -> Object | None:
    """The owner reference with `controller: true`; None if there is none."""
    for reference in obj.get("metadata", {}).get("ownerReferences") or ():
        if reference.get("controller"):
            return dict(reference)
    return None


def is_controlled_by(obj: Object, owner: Object) -> bool:
    reference = controller_of(obj)
    return reference is not None and bool(reference.get("uid") == owner["metadata"]["uid"])
