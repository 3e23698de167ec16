# SPDX-License-Identifier: Apache-2.0
"""Kubernetes' strategic merge patch. Pure; arguments are not changed.

Lists are merged by the key that the field has in Kubernetes' types. Directives: $patch, $retainKeys,
$deleteFromPrimitiveList and $setElementOrder. Rules: k8s.io/apimachinery util/strategicpatch.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from tidegate.model import errors
from tidegate.model.objects import Object

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


def merge_rule(field: str) -> Object:
    """The OpenAPI extensions for a field that is a list; none if a patch replaces the list."""
    if field in _MERGED_PRIMITIVES:
        return {"x-kubernetes-patch-strategy": "merge"}
    if field in _MERGE_KEYS:
        return {"x-kubernetes-patch-strategy": "merge", "x-kubernetes-patch-merge-key": _MERGE_KEYS[field]}
    return {}


def patched(obj: Object, patch: Object) -> Any:
    """The object after a strategic merge patch. Raises `BadRequest` if the patch is malformed."""
    try:
        return merge(obj, patch)
    except TypeError as error:  # e.g. an array or object where Kubernetes' types have a name
        raise errors.BadRequest(f"the strategic merge patch cannot be applied: {error}") from error


def merge(value: Any, patch: Object) -> Any:
    """Merge two values by the rules of Kubernetes' types."""
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
    """A test whether a value is one of `values`, in constant time."""
    encoded = {msgspec.json.encode(value) for value in values}
    return lambda value: msgspec.json.encode(value) in encoded


def _directives(patch: Object, prefix: str) -> list[tuple[str, list[Any]]]:
    """The directives with one prefix: (field, list)."""
    found = [(name.removeprefix(prefix), listed) for name, listed in patch.items() if name.startswith(prefix)]
    for field, listed in found:
        if not isinstance(listed, list):
            raise errors.BadRequest(f"{prefix}{field} must be an array")
    return found


def _merge_field(name: str, present: Any, change: Any) -> Any:
    if isinstance(change, dict):
        return merge(present, change)
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
            merged[change[key]] = merge(merged.get(change[key]), change)
    return list(merged.values())


def _ordered(field: str, entries: list[Any], order: list[Any]) -> list[Any]:
    """The entries that `order` lists, in its order; each other entry keeps its place."""
    key = _MERGE_KEYS.get(field)

    def name(entry: Any) -> Any:
        return entry.get(key) if key is not None and isinstance(entry, dict) else entry

    places = {name(entry): place for place, entry in enumerate(order)}
    named = iter(sorted((entry for entry in entries if name(entry) in places), key=lambda entry: places[name(entry)]))
    return [next(named) if name(entry) in places else entry for entry in entries]
