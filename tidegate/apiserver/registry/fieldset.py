# SPDX-License-Identifier: Apache-2.0
"""The fields of an object as paths, as `metadata.managedFields` lists them. Pure.

A list is one field: its entries have no paths. Fields that the server keeps (e.g. `metadata.uid`) are left out, because
no manager can own them. Called by: `ownership`.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from tidegate.model.objects import Object

FieldPath = tuple[str, ...]

_KEPT_BY_SERVER: frozenset[FieldPath] = frozenset(
    {
        ("apiVersion",),
        ("kind",),
        ("metadata", "creationTimestamp"),
        ("metadata", "deletionGracePeriodSeconds"),
        ("metadata", "deletionTimestamp"),
        ("metadata", "generateName"),
        ("metadata", "generation"),
        ("metadata", "managedFields"),
        ("metadata", "name"),
        ("metadata", "namespace"),
        ("metadata", "resourceVersion"),
        ("metadata", "selfLink"),
        ("metadata", "uid"),
    }
)
_MISSING = object()


def of(obj: Object, subresource: str) -> frozenset[FieldPath]:
    """The fields of an object that a manager can own: the fields of the status, or all others."""
    about_status = subresource == "status"
    return frozenset(
        path for path in _leaves(obj) if path not in _KEPT_BY_SERVER and (path[0] == "status") == about_status
    )


def _leaves(value: Mapping[str, Any], path: FieldPath = ()) -> Iterator[FieldPath]:
    for name, entry in value.items():
        if isinstance(entry, dict) and entry and (*path, name) not in _KEPT_BY_SERVER:
            yield from _leaves(entry, (*path, name))
        else:
            yield (*path, name)


def changed(paths: Iterable[FieldPath], old: Mapping[str, Any], new: Mapping[str, Any]) -> frozenset[FieldPath]:
    """The fields whose values differ, among `paths`."""
    return frozenset(path for path in paths if _value_at(old, path) != _value_at(new, path))


def _value_at(obj: Mapping[str, Any], path: FieldPath) -> Any:
    value: Any = obj
    for name in path:
        if not isinstance(value, dict) or name not in value:
            return _MISSING
        value = value[name]
    return value


def without(value: Object, paths: Collection[FieldPath]) -> Object:
    """The object without some fields, and without the objects that become empty by that."""
    below: dict[str, list[FieldPath]] = {}
    for path in paths:
        below.setdefault(path[0], []).append(path[1:])
    left: Object = {}
    for name, entry in value.items():
        inner = below.get(name, ())
        if inner and isinstance(entry, dict) and () not in inner:
            if remaining := without(entry, inner):
                left[name] = remaining
        elif () not in inner:
            left[name] = entry
    return left


def parsed(tree: Any, path: FieldPath = ()) -> Iterator[FieldPath]:
    """The fields in a FieldsV1, e.g. {"f:a": {"f:b": {}}}. Entries of lists ("k:", "v:") count as their list."""
    named = {name: entry for name, entry in tree.items() if name.startswith("f:")} if isinstance(tree, dict) else {}
    if path and not named:
        yield path
    for name, entry in named.items():
        yield from parsed(entry, (*path, name.removeprefix("f:")))


def tree(paths: frozenset[FieldPath]) -> Object:
    """The FieldsV1 of some fields."""
    root: Object = {}
    for path in sorted(paths):
        node = root
        for name in path:
            node = node.setdefault(f"f:{name}", {})
    return root
