# SPDX-License-Identifier: Apache-2.0
"""Who set which fields, and server-side apply, which is about that. Pure.

In: objects, manifests, names of managers. Out: objects with `metadata.managedFields`. Called by the verbs.

What a manager applies, it owns; what it no longer applies and nobody else owns, goes; what another owns with another
value is a conflict, unless it is forced, and then the other loses it. Whoever writes in another way owns what it
changed.

| a field | owned by me alone | by others too | by others alone | by nobody |
| --- | --- | --- | --- | --- |
| applied, same value | mine | shared | shared | mine |
| applied, new value | mine | conflict or forced | conflict or forced | mine |
| no longer applied | it goes | theirs | theirs | stays |

Differs from Kubernetes: a list is one field, its entries are not owned apart (Kubernetes does so where a type says it;
lists of Knative's kinds are whole there too); and owners are kept only from the first apply on, before which all there
was belongs to the manager "before-first-apply". Rules: k8s.io/apimachinery util/managedfields,
https://kubernetes.io/docs/reference/using-api/server-side-apply/
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from tidegate.model import errors
from tidegate.model.conditions import timestamp
from tidegate.model.errors import Cause
from tidegate.model.kinds import Kind
from tidegate.model.objects import Object
from tidegate.model.registry import patches, refusals

BEFORE = "before-first-apply"
_LONGEST_NAME = 128
_SERVERS = frozenset(
    {
        ("apiVersion",),
        ("kind",),
        *(
            ("metadata", name)
            for name in (
                "creationTimestamp",
                "deletionGracePeriodSeconds",
                "deletionTimestamp",
                "generateName",
                "generation",
                "managedFields",
                "name",
                "namespace",
                "resourceVersion",
                "selfLink",
                "uid",
            )
        ),
    }
)

Path = tuple[str, ...]
_MISSING = object()


@dataclass(frozen=True, slots=True)
class Manager:
    """Who writes, how, and to what part."""

    name: str
    operation: Literal["Apply", "Update"]
    subresource: str = ""


@dataclass(frozen=True, slots=True)
class Owned:
    """The fields of one manager, since when."""

    fields: frozenset[Path]
    api_version: str
    time: str


Owners = dict[Manager, Owned]


def manager(name: str, operation: Literal["Apply", "Update"], subresource: str = "") -> Manager:
    """Raises `BadRequest` where an applier has no name, or one that is too long."""
    if not name or len(name) > _LONGEST_NAME:
        raise errors.BadRequest(f"fieldManager: must be a name of 1 to {_LONGEST_NAME} characters")
    return Manager(name, operation, subresource)


def applied(kind: Kind, old: Object, manifest: Object, by: Manager, *, force: bool) -> Object:
    """The object that `by` asks for with its manifest, made from `old`, which may be empty. Raises `Conflict`."""
    config = _without_nulls(manifest)
    owners = _owners(old)
    mine = owners.get(by, Owned(frozenset(), "", "")).fields
    wanted = _fields(config, by)
    others = {other: owned for other, owned in owners.items() if other != by}
    conflicts = [] if force else list(_conflicts(others, old, config, wanted))
    if conflicts:
        raise _conflict(kind, manifest["metadata"].get("name", ""), conflicts)
    held = frozenset[Path]().union(*(owned.fields for owned in others.values()))
    merged: Object = patches.merge(_removed(old, mine - wanted - held), config)
    return merged


def after_apply(old: Object, new: Object, manifest: Object, by: Manager, now: datetime) -> Object:
    """`new`, which came of `applied`, with its owners."""
    wanted = _fields(_without_nulls(manifest), by)
    owners = _without(_owners(old), frozenset(path for path in wanted if _at(old, path) != _at(new, path)), by)
    return _owned(new, {**owners, by: _since(owners.get(by), wanted, new, now)})


def after_write(old: Object, new: Object, given: Any, by: Manager, now: datetime) -> Object:
    """`new`, which came of another write, with its owners; where there are none, that stays so. `given`: the owners
    that the writer sent along, by which it may change them; None where it sent none."""
    if given == [] or (given is None and "managedFields" not in old["metadata"]):
        return _owned(new, {}) if "managedFields" in new["metadata"] else new
    owners = _owners(old if given is None else {**old, "metadata": {**old["metadata"], "managedFields": given}})
    before, after = _fields(old, by), _fields(new, by)
    changed = frozenset(path for path in after if _at(old, path) != _at(new, path))
    owners = _without(owners, changed | (before - after), by)
    mine = owners.get(by)
    if changed or mine:
        fields = ((mine.fields if mine else frozenset()) - (before - after)) | changed
        owners[by] = _since(mine, fields, new, now)
    return _owned(new, owners)


def _owners(obj: Object) -> Owners:
    """The owners that an object names; one that names none belonged to nobody in particular."""
    if not obj:
        return {}
    entries = obj["metadata"].get("managedFields")
    if not isinstance(entries, list) or not entries:
        before = Manager(BEFORE, "Update")
        created = obj["metadata"].get("creationTimestamp", "")
        return {before: Owned(_fields(obj, before), obj["apiVersion"], created)}
    return dict(_read(entry) for entry in entries if isinstance(entry, dict))


def _read(entry: Object) -> tuple[Manager, Owned]:
    operation: Literal["Apply", "Update"] = "Apply" if entry.get("operation") == "Apply" else "Update"
    who = Manager(str(entry.get("manager", "")), operation, str(entry.get("subresource", "")))
    fields = frozenset(_paths(entry.get("fieldsV1")))
    return who, Owned(fields, str(entry.get("apiVersion", "")), str(entry.get("time", "")))


def _owned(obj: Object, owners: Owners) -> Object:
    """The object with these owners written down."""
    metadata = {name: value for name, value in obj["metadata"].items() if name != "managedFields"}
    entries = [_written(who, owned) for who, owned in owners.items() if owned.fields]
    return {**obj, "metadata": {**metadata, **({"managedFields": entries} if entries else {})}}


def _written(who: Manager, owned: Owned) -> Object:
    return {
        "manager": who.name,
        "operation": who.operation,
        "apiVersion": owned.api_version,
        "time": owned.time,
        "fieldsType": "FieldsV1",
        "fieldsV1": _tree(owned.fields),
        **({"subresource": who.subresource} if who.subresource else {}),
    }


def _since(before: Owned | None, fields: frozenset[Path], obj: Object, now: datetime) -> Owned:
    if before is not None and before.fields == fields:
        return before
    return Owned(fields, obj["apiVersion"], timestamp(now))


def _without(owners: Owners, lost: frozenset[Path], but: Manager) -> Owners:
    """The owners, of whom all but one lose some fields."""
    return {who: owned if who == but else replace(owned, fields=owned.fields - lost) for who, owned in owners.items()}


# Fields


def _fields(obj: Object, by: Manager) -> frozenset[Path]:
    """The fields of an object that its writer can own: of the status, or of all but the status."""
    about_status = by.subresource == "status"
    return frozenset(path for path in _leaves(obj) if path not in _SERVERS and (path[0] == "status") == about_status)


def _leaves(value: Mapping[str, Any], path: Path = ()) -> Iterator[Path]:
    for name, entry in value.items():
        if isinstance(entry, dict) and entry and (*path, name) not in _SERVERS:
            yield from _leaves(entry, (*path, name))
        else:
            yield (*path, name)


def _at(obj: Mapping[str, Any], path: Path) -> Any:
    value: Any = obj
    for name in path:
        if not isinstance(value, dict) or name not in value:
            return _MISSING
        value = value[name]
    return value


def _removed(value: Object, paths: Collection[Path]) -> Object:
    """The object without some fields, and without what has become empty by that."""
    below: dict[str, list[Path]] = {}
    for path in paths:
        below.setdefault(path[0], []).append(path[1:])
    left: Object = {}
    for name, entry in value.items():
        inner = below.get(name, ())
        if inner and isinstance(entry, dict) and () not in inner:
            if remaining := _removed(entry, inner):
                left[name] = remaining
        elif () not in inner:
            left[name] = entry
    return left


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(entry) for name, entry in value.items() if entry is not None}
    return value


def _paths(tree: Any, path: Path = ()) -> Iterator[Path]:
    """The fields in a FieldsV1: {"f:a": {"f:b": {}}}; entries of lists ("k:", "v:") count as their list."""
    named = {name: entry for name, entry in tree.items() if name.startswith("f:")} if isinstance(tree, dict) else {}
    if path and not named:
        yield path
    for name, entry in named.items():
        yield from _paths(entry, (*path, name.removeprefix("f:")))


def _tree(fields: frozenset[Path]) -> Object:
    root: Object = {}
    for path in sorted(fields):
        node = root
        for name in path:
            node = node.setdefault(f"f:{name}", {})
    return root


# Conflicts


def _conflicts(others: Owners, old: Object, config: Object, wanted: frozenset[Path]) -> Iterator[tuple[Manager, Path]]:
    for who, owned in others.items():
        for path in sorted(wanted & owned.fields):
            if _at(old, path) != _at(config, path):
                yield who, path


def _conflict(kind: Kind, name: str, conflicts: Sequence[tuple[Manager, Path]]) -> errors.Conflict:
    causes = tuple(
        Cause("FieldManagerConflict", f'conflict with "{who.name}" using {kind.api_version}', "." + ".".join(path))
        for who, path in conflicts
    )
    plural = "conflicts" if len(causes) > 1 else "conflict"
    told = ", ".join(f"{cause.message}: {cause.field}" for cause in causes)
    error = refusals.conflict(kind, name, "")
    return errors.Conflict(f"Apply failed with {len(causes)} {plural}: {told}", causes=causes, details=error.details)
