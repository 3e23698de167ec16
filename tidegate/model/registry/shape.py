# SPDX-License-Identifier: Apache-2.0
"""The JSON types that an object must have before anything else looks at it. Pure.

Checked: an object with the apiVersion and kind of its path, and the types in its metadata. `schemas` checks the other
fields at admission. Called by: the verbs, for every object that is written, and the check of unknown fields.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from tidegate.model import errors
from tidegate.model.kinds import Kind
from tidegate.model.objects import Object


def require(kind: Kind, obj: Object) -> None:
    """Raise `BadRequest` unless `obj` is an object of the kind with metadata of the right JSON types."""
    if not isinstance(obj, dict):
        raise errors.BadRequest(f"a {kind.kind} must be a JSON object")
    version, name = obj.get("apiVersion", kind.api_version), obj.get("kind", kind.kind)
    if (version, name) != (kind.api_version, kind.kind):
        given = f"{version}, Kind={name}"
        raise errors.BadRequest(f"the object provided is unrecognized (must be of type {kind.kind}): {given}")
    metadata = obj.get("metadata")
    if not isinstance(metadata, dict):
        raise errors.BadRequest("metadata: must be an object")
    for field, value in _misshapen(metadata):
        raise errors.BadRequest(f"cannot be handled as a {kind.kind}: metadata.{field}: unexpected {_json_type(value)}")


def _misshapen(metadata: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for field in ("name", "namespace", "generateName", "uid", "resourceVersion"):
        if not isinstance(metadata.get(field), str | None):
            yield field, metadata[field]
    for field in ("labels", "annotations"):
        entries = metadata.get(field)
        if isinstance(entries, dict):
            yield from ((f"{field}.{name}", text) for name, text in entries.items() if not isinstance(text, str))
        elif entries is not None:
            yield field, entries
    for field, item in (("finalizers", str), ("ownerReferences", dict), ("managedFields", dict)):
        entries = metadata.get(field)
        if isinstance(entries, list):
            yield from ((f"{field}[{i}]", entry) for i, entry in enumerate(entries) if not isinstance(entry, item))
        elif entries is not None:
            yield field, entries


def _json_type(value: object) -> str:
    names = {dict: "object", list: "array", str: "string", bool: "boolean", int: "number", float: "number"}
    return names.get(type(value), "null")
