# SPDX-License-Identifier: Apache-2.0
"""The three kinds of patch, as functions from an object to the patched one. Pure; what they are given stays as it is.

JSON merge patch (RFC 7386), JSON patch (RFC 6902) and, for the core kinds, Kubernetes' strategic merge patch, which
merges lists by the key that the field has in Kubernetes' types and knows the directives $patch, $retainKeys,
$deleteFromPrimitiveList and $setElementOrder.
"""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import jsonpatch
import jsonpointer
import msgspec

from tidegate.model import errors
from tidegate.model.kinds import Kind
from tidegate.model.objects import Object

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_MERGE_PATCH = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"
"""Server-side apply, which is more than a patch: see `ownership`."""

_LONGEST_JSON_PATCH = 10_000
_MOST_COPIED_BYTES = 3 * 1024 * 1024  # else a few "copy" of all into a part of it double an object beyond any bound

Patch = Callable[[Object], Any]

_MERGE_KEYS = {
    "addresses": "type",
    "conditions": "type",
    "containers": "name",
    "env": "name",
    "ephemeralContainers": "name",
    "hostAliases": "ip",
    "imagePullSecrets": "name",
    "initContainers": "name",
    "ownerReferences": "uid",
    "podIPs": "ip",
    "ports": "containerPort",
    "taints": "key",
    "topologySpreadConstraints": "topologyKey",
    "volumeDevices": "devicePath",
    "volumeMounts": "mountPath",
    "volumes": "name",
}
_MERGED_PRIMITIVES = frozenset({"finalizers"})


def types(kind: Kind) -> tuple[str, ...]:
    """The media types of patches that a kind takes."""
    return (JSON_PATCH, MERGE_PATCH, *(() if kind.group else (STRATEGIC_MERGE_PATCH,)), APPLY)


def merge_rule(field: str) -> Object:
    """How a strategic merge treats a field that is a list, in OpenAPI's words; nothing where it replaces the list."""
    if field in _MERGED_PRIMITIVES:
        return {"x-kubernetes-patch-strategy": "merge"}
    if field in _MERGE_KEYS:
        return {"x-kubernetes-patch-strategy": "merge", "x-kubernetes-patch-merge-key": _MERGE_KEYS[field]}
    return {}


def parsed(kind: Kind, media_type: str, patch: Any) -> Patch:
    """The patch as a function. Raises `UnsupportedMediaType` where the kind does not take its type, `BadRequest` where
    it is none."""
    if media_type not in types(kind):
        told = ", ".join(types(kind))
        raise errors.UnsupportedMediaType(
            f"the body of the request was in an unknown format - accepted media types include: {told}"
        )
    if media_type == APPLY:
        raise errors.BadRequest("an apply is no patch that stands for itself")
    if media_type == JSON_PATCH:
        return _json_patch(patch)
    if not isinstance(patch, dict):
        raise errors.BadRequest("a merge patch must be a JSON object")
    if media_type == MERGE_PATCH:
        return lambda obj: merge(obj, patch)
    return lambda obj: _strategically_merged(obj, patch)


def merge(value: Any, patch: Any) -> Any:
    """RFC 7386: objects are merged, null removes, all else replaces."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(value) if isinstance(value, dict) else {}
    for name, change in patch.items():
        if change is None:
            merged.pop(name, None)
        else:
            merged[name] = merge(merged.get(name), change)
    return merged


def _json_patch(operations: Any) -> Patch:
    if not isinstance(operations, Sequence) or isinstance(operations, str):
        raise errors.BadRequest("a JSON patch must be an array of operations")
    if len(operations) > _LONGEST_JSON_PATCH:
        raise errors.TooLarge(
            f"The allowed maximum operations in a JSON patch is {_LONGEST_JSON_PATCH}, got {len(operations)}"
        )
    try:
        steps = [(operation, jsonpatch.JsonPatch([operation])) for operation in operations]
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException, AttributeError, TypeError) as error:
        raise errors.BadRequest(f"the JSON patch cannot be read: {error}") from error

    def apply(obj: Object) -> Any:
        patched: Any = copy.deepcopy(obj)
        copied = 0
        try:
            for operation, step in steps:
                if operation["op"] == "copy":
                    copied += len(msgspec.json.encode(jsonpointer.resolve_pointer(patched, operation.get("from"))))
                if copied > _MOST_COPIED_BYTES:
                    raise errors.TooLarge(f"the JSON patch copies more than {_MOST_COPIED_BYTES} bytes")
                patched = step.apply(patched, in_place=True)
        except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException, TypeError, ValueError) as error:
            raise errors.Invalid(f"the JSON patch cannot be applied: {error}") from error
        return patched

    return apply


def _strategically_merged(obj: Object, patch: Object) -> Any:
    try:
        return strategic_merge(obj, patch)
    except TypeError as error:  # an array or object where Kubernetes' types have a name, or the like
        raise errors.BadRequest(f"the strategic merge patch cannot be applied: {error}") from error


def strategic_merge(value: Any, patch: Object) -> Any:
    """Merge as Kubernetes' own types say."""
    if patch.get("$patch") == "replace":
        return {name: entry for name, entry in patch.items() if name != "$patch"}
    if patch.get("$patch") == "delete":
        return {}
    merged = dict(value) if isinstance(value, dict) else {}
    if "$retainKeys" in patch:
        is_retained = _among(patch["$retainKeys"])
        merged = {name: entry for name, entry in merged.items() if is_retained(name)}
    for field, unwanted in _directives(patch, "$deleteFromPrimitiveList/"):
        is_unwanted = _among(unwanted)
        merged[field] = [entry for entry in merged.get(field) or [] if not is_unwanted(entry)]
    for name, change in patch.items():
        if change is None:
            merged.pop(name, None)
        elif not name.startswith("$"):
            merged[name] = _merge_field(name, merged.get(name), change)
    for field, order in _directives(patch, "$setElementOrder/"):
        if isinstance(merged.get(field), list):
            merged[field] = _ordered(field, merged[field], order)
    return merged


def _among(values: list[Any]) -> Callable[[Any], bool]:
    """Whether a value is one of these, in a time that does not grow with them."""
    encoded = {msgspec.json.encode(value) for value in values}
    return lambda value: msgspec.json.encode(value) in encoded


def _directives(patch: Object, prefix: str) -> list[tuple[str, list[Any]]]:
    """The directives of one sort: (field, list)."""
    found = [(name.removeprefix(prefix), listed) for name, listed in patch.items() if name.startswith(prefix)]
    for field, listed in found:
        if not isinstance(listed, list):
            raise errors.BadRequest(f"{prefix}{field} must be an array")
    return found


def _merge_field(name: str, present: Any, change: Any) -> Any:
    if isinstance(change, dict):
        return strategic_merge(present, change)
    if isinstance(change, list):
        return _merge_list(name, present if isinstance(present, list) else [], change)
    return change


def _merge_list(field: str, present: list[Any], changes: list[Any]) -> list[Any]:
    if field in _MERGED_PRIMITIVES:
        is_present = _among(present)
        return present + [change for change in changes if not is_present(change)]
    key = _MERGE_KEYS.get(field)
    if key is None or not all(isinstance(entry, dict) for entry in (*present, *changes)):
        return changes
    if any(change.get("$patch") == "replace" for change in changes):
        return [change for change in changes if "$patch" not in change]
    merged = {entry.get(key): entry for entry in present}
    for change in changes:
        if key not in change:
            raise errors.BadRequest(f"map: {change} does not contain declared merge key: {key}")
        if change.get("$patch") == "delete":
            merged.pop(change[key], None)
        else:
            merged[change[key]] = strategic_merge(merged.get(change[key]), change)
    return list(merged.values())


def _ordered(field: str, entries: list[Any], order: list[Any]) -> list[Any]:
    """The entries that `order` names in its order; others stay before the ones they were before."""
    key = _MERGE_KEYS.get(field)

    def name(entry: Any) -> Any:
        return entry.get(key) if key is not None and isinstance(entry, dict) else entry

    places = {name(entry): place for place, entry in enumerate(order)}
    named = iter(sorted((entry for entry in entries if name(entry) in places), key=lambda entry: places[name(entry)]))
    return [next(named) if name(entry) in places else entry for entry in entries]
