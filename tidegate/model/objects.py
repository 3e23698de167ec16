# SPDX-License-Identifier: Apache-2.0
"""Kubernetes objects as they come: plain JSON dicts, read through the functions here so that unknown fields survive.

Every part shares these dicts (caches hand out the same one to all), so an object that came from a cluster or an
informer is never changed in place: `copy.deepcopy` it, or build a new one.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

Object = dict[str, Any]


class Key(NamedTuple):
    """The name of an object within its kind. `namespace` is "" for kinds that have none."""

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
    """The items of an annotation that holds a list: "a,b"."""
    return tuple(item for item in annotations(obj).get(annotation, "").split(",") if item)


def first_annotation(obj: Object, names: Sequence[str]) -> str | None:
    """The value of an annotation that has several spellings: the first that is there counts."""
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
    """The revision of the store at which this object was written; 0 for one that never was."""
    return int(obj.get("metadata", {}).get("resourceVersion") or 0)


def is_deleting(obj: Object) -> bool:
    """Whether deletion has begun: finalizers or a grace period still hold the object."""
    return "deletionTimestamp" in obj["metadata"]


def owner_reference(owner: Object) -> Object:
    """What a child made by `owner`'s controller carries in `metadata.ownerReferences`."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def controller_of(obj: Object) -> Object | None:
    """The owner reference with `controller: true`, if there is one."""
    for reference in obj.get("metadata", {}).get("ownerReferences") or ():
        if reference.get("controller"):
            return dict(reference)
    return None


def is_controlled_by(obj: Object, owner: Object) -> bool:
    reference = controller_of(obj)
    return reference is not None and bool(reference.get("uid") == owner["metadata"]["uid"])
