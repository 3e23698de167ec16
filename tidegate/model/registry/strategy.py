# SPDX-License-Identifier: Apache-2.0
"""The fields of each kind that the main resource may set, on creation and on update. Pure.

The status is written through the status subresource. A new Pod is Pending, a new Namespace Active. The node agent
creates a Node with its status. A Secret's stringData becomes data. Rules: k8s.io/kubernetes
pkg/registry/core/*/strategy.go.
"""

import base64

from tidegate.model import errors
from tidegate.model.kinds import NAMESPACE, NODE, POD, SECRET, Kind
from tidegate.model.objects import Object


def initial(kind: Kind, obj: Object) -> Object:
    """A new object before admission."""
    if kind is NODE:
        return obj
    obj = {name: value for name, value in obj.items() if name != "status" or not kind.status}
    if kind is POD:
        return {**obj, "status": {"phase": "Pending"}}
    if kind is NAMESPACE:
        metadata = obj["metadata"]
        labels = {**(metadata.get("labels") or {}), "kubernetes.io/metadata.name": metadata.get("name", "")}
        spec = {"finalizers": ["kubernetes"]}
        return {**obj, "metadata": {**metadata, "labels": labels}, "spec": spec, "status": {"phase": "Active"}}
    return _with_string_data(obj) if kind is SECRET else obj


def merged(kind: Kind, new: Object, old: Object) -> Object:
    """The main resource of `new`; the fields that it may not write are taken from `old`."""
    if kind.status:
        new = _with(new, "status", old)
    if kind is NAMESPACE:
        new = _with(new, "spec", old)
    return _with_string_data(new) if kind is SECRET else new


def merged_status(new: Object, old: Object) -> Object:
    """The status of `new`; all other fields are taken from `old`."""
    return _with(old, "status", new)


def _with(obj: Object, field: str, source: Object) -> Object:
    """`obj` with one field as in `source`, absent if it is absent there."""
    if obj.get(field) == source.get(field):
        return obj
    rest = {name: value for name, value in obj.items() if name != field}
    return {**rest, field: source[field]} if field in source else rest


def _with_string_data(secret: Object) -> Object:
    rest = {name: value for name, value in secret.items() if name != "stringData"}
    texts, data = secret.get("stringData"), secret.get("data") or {}
    if not texts:
        return rest
    if not isinstance(texts, dict) or not all(isinstance(text, str) for text in texts.values()):
        raise errors.BadRequest("cannot be handled as a Secret: stringData must be an object of strings")
    if not isinstance(data, dict):
        raise errors.BadRequest("cannot be handled as a Secret: data must be an object of strings")
    return {
        **rest,
        "data": {**data, **{name: base64.b64encode(text.encode()).decode() for name, text in texts.items()}},
    }
