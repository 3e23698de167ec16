# SPDX-License-Identifier: Apache-2.0
"""The metadata of an object after a write: fields that the server keeps, and fields that callers may write. Pure.

| | on creation | on update |
| --- | --- | --- |
| name | as given, or generateName and five characters | must be the same |
| namespace | the namespace of the request | must be the same |
| uid, creationTimestamp | generated | kept |
| generation | 1 | + 1 when anything but metadata and status changed |
| deletionTimestamp, deletionGracePeriodSeconds | dropped | kept |
| finalizers | as given | none may be added to an object that is being deleted |

The JSON types of metadata are checked in `shape`, its values in `metadata_validation`. Rules and texts:
k8s.io/apiserver registry/rest/{create,update,meta}.go.
"""

import secrets
import uuid
from datetime import datetime

from tidegate.model import errors
from tidegate.model.conditions import timestamp
from tidegate.model.kinds import Kind
from tidegate.model.objects import Object
from tidegate.model.registry import rejections, shape

_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_LONGEST_GENERATE_NAME = 58
_OTHER_NAMESPACE = "the namespace of the provided object does not match the namespace sent on the request"


def has_generation(kind: Kind) -> bool:
    """Custom resources count their generations; the kinds of the core group that are served here do not."""
    return bool(kind.group)


def generated_name(prefix: str) -> str:
    """A name that is very likely unused."""
    return prefix[:_LONGEST_GENERATE_NAME] + "".join(secrets.choice(_ALPHABET) for _ in range(5))


def created(kind: Kind, obj: Object, namespace: str, now: datetime) -> Object:
    """`obj`, whose shape has been checked, with the metadata of a new object. Raises `BadRequest` if it has a
    resourceVersion or another namespace."""
    given = obj["metadata"]
    if given.get("resourceVersion"):
        raise errors.BadRequest("resourceVersion should not be set on objects to be created")
    metadata = {name: value for name, value in given.items() if name not in _NOT_OF_NEW}
    if kind.namespaced:
        metadata["namespace"] = given.get("namespace") or namespace
        if metadata["namespace"] != namespace:
            raise errors.BadRequest(_OTHER_NAMESPACE)
    else:
        metadata.pop("namespace", None)
    if not metadata.get("name") and metadata.get("generateName"):
        metadata["name"] = generated_name(metadata["generateName"])
    metadata["uid"] = str(uuid.uuid4())
    metadata["creationTimestamp"] = timestamp(now)
    metadata.pop("generation", None)
    if has_generation(kind):
        metadata["generation"] = 1
    return {**obj, "apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata}


_DELETION = ("deletionTimestamp", "deletionGracePeriodSeconds")
_NOT_OF_NEW = frozenset({"resourceVersion", "selfLink", "managedFields", *_DELETION})
_KEPT = ("namespace", "uid", "creationTimestamp", "generation", "generateName", *_DELETION)


def updated(kind: Kind, obj: Object, old: Object) -> Object:
    """`obj`, with the metadata that an update may not change taken from `old`. Raises `Conflict` if `obj` has an older
    resourceVersion or another uid, `BadRequest` if it has another name or namespace."""
    given, kept = obj.get("metadata") if isinstance(obj, dict) else None, old["metadata"]
    if given is kept and (obj.get("apiVersion"), obj.get("kind")) == (old["apiVersion"], old["kind"]):
        return obj  # most writes of a status are made from the newest version, whose metadata they share
    shape.require(kind, obj)
    given = obj["metadata"]
    name = kept["name"]
    if given.get("name", name) != name:
        raise errors.BadRequest(f"the name of the object ({given['name']}) does not match the name on the URL ({name})")
    if given.get("namespace") and given["namespace"] != kept.get("namespace"):
        raise errors.BadRequest(_OTHER_NAMESPACE)
    if given.get("uid") and given["uid"] != kept["uid"]:
        raise rejections.wrong_uid(kind, name, given["uid"], kept["uid"])
    if given.get("resourceVersion") and given["resourceVersion"] != kept["resourceVersion"]:
        raise rejections.changed_meanwhile(kind, name)
    metadata = {field: value for field, value in given.items() if field not in (*_KEPT, "selfLink")}
    metadata |= {field: kept[field] for field in _KEPT if field in kept}
    metadata |= {"name": name, "resourceVersion": kept["resourceVersion"]}
    return {**obj, "apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata}


def counted(kind: Kind, new: Object, old: Object) -> Object:
    """`new`, with its generation raised if its spec (all but metadata and status) differs from `old`."""
    if not has_generation(kind) or _desired(new) == _desired(old):
        return new
    return {**new, "metadata": {**new["metadata"], "generation": old["metadata"].get("generation", 0) + 1}}


def _desired(obj: Object) -> Object:
    return {name: value for name, value in obj.items() if name not in ("apiVersion", "kind", "metadata", "status")}
