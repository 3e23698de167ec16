# SPDX-License-Identifier: Apache-2.0
"""Owners of fields, and server-side apply, which merges by ownership. Pure.

In: objects, manifests, names of managers. Out: objects with `metadata.managedFields`. Called by the verbs.

A manager owns the fields that it applies. A field that it no longer applies, and that no other manager owns, is
removed. A field that another manager owns with another value is a conflict; a forced apply takes the field over. A
writer that does not apply (update, patch) owns the fields that it changes.

| a field | owned by me alone | by me and others | by others alone | by nobody |
| --- | --- | --- | --- | --- |
| applied, same value | mine | shared | shared | mine |
| applied, new value | mine | conflict, or mine if forced | conflict, or mine if forced | mine |
| no longer applied | removed | theirs | theirs | stays |

Differences from Kubernetes: a list is one field, its entries have no owners of their own (in Kubernetes they have, if
the type says so; lists of Knative's kinds are one field there too). Owners are recorded from the first apply on; the
fields of before belong to the manager "before-first-apply". Rules: k8s.io/apimachinery util/managedfields,
https://kubernetes.io/docs/reference/using-api/server-side-apply/
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from tidegate.apiserver.registry import fieldset
from tidegate.apiserver.registry.fieldset import FieldPath
from tidegate.model import errors
from tidegate.model.conditions import timestamp
from tidegate.model.errors import Cause
from tidegate.model.kinds import Kind
from tidegate.model.objects import Object
from tidegate.model.registry import patches, rejections

BEFORE = "before-first-apply"
_LONGEST_NAME = 128  # characters

Operation = Literal["Apply", "Update"]


@dataclass(frozen=True, slots=True)
class FieldManager:
    """A writer, its way of writing, and the part that it writes."""

    name: str
    operation: Operation
    subresource: str = ""


@dataclass(frozen=True, slots=True)
class Owned:
    """The fields of one manager, and the time of their last change."""

    fields: frozenset[FieldPath]
    api_version: str
    time: str


Owners = dict[FieldManager, Owned]


def manager(name: str, operation: Operation, subresource: str = "") -> FieldManager:
    """Raises `BadRequest` if the name is empty or too long."""
    if not name or len(name) > _LONGEST_NAME:
        raise errors.BadRequest(f"fieldManager: must be a name of 1 to {_LONGEST_NAME} characters")
    return FieldManager(name, operation, subresource)


def applied(kind: Kind, old: Object, manifest: Object, by: FieldManager, *, force: bool) -> Object:
    """`old`, which may be empty, with the manifest of `by` merged into it. Raises `Conflict`."""
    config = _without_nulls(manifest)
    owners = _owners(old)
    mine = owners.get(by, Owned(frozenset(), "", "")).fields
    wanted = fieldset.of(config, by.subresource)
    others = {other: owned for other, owned in owners.items() if other != by}
    conflicts = [] if force else list(_conflicts(others, old, config, wanted))
    if conflicts:
        raise _conflict(kind, manifest["metadata"].get("name", ""), conflicts)
    held = frozenset[FieldPath]().union(*(owned.fields for owned in others.values()))
    merged: Object = patches.merge(fieldset.without(old, mine - wanted - held), config)
    return merged


def after_apply(old: Object, new: Object, manifest: Object, by: FieldManager, now: datetime) -> Object:
    """`new`, the result of `applied`, with its owners."""
    wanted = fieldset.of(_without_nulls(manifest), by.subresource)
    owners = _without(_owners(old), fieldset.changed(wanted, old, new), by)
    return _with_owners(new, {**owners, by: _since(owners.get(by), wanted, new, now)})


def after_write(old: Object, new: Object, given: Any, by: FieldManager, now: datetime) -> Object:
    """`new`, the result of an update or a patch, with its owners. An object without owners stays without. `given`: the
    managedFields in the request, by which it may change them; None if it has none."""
    if given == [] or (given is None and "managedFields" not in old["metadata"]):
        return _with_owners(new, {}) if "managedFields" in new["metadata"] else new
    owners = _owners(old if given is None else {**old, "metadata": {**old["metadata"], "managedFields": given}})
    before, after = fieldset.of(old, by.subresource), fieldset.of(new, by.subresource)
    changed = fieldset.changed(after, old, new)
    removed = before - after
    owners = _without(owners, changed | removed, by)
    mine = owners.get(by)
    if changed or mine:
        fields = ((mine.fields if mine else frozenset()) - removed) | changed
        owners[by] = _since(mine, fields, new, now)
    return _with_owners(new, owners)


def _owners(obj: Object) -> Owners:
    """The owners that an object lists. If it lists none, all its fields belong to `BEFORE`."""
    if not obj:
        return {}
    entries = obj["metadata"].get("managedFields")
    if not isinstance(entries, list) or not entries:
        before = FieldManager(BEFORE, "Update")
        created = obj["metadata"].get("creationTimestamp", "")
        return {before: Owned(fieldset.of(obj, ""), obj["apiVersion"], created)}
    return dict(_read(entry) for entry in entries if isinstance(entry, dict))


def _read(entry: Object) -> tuple[FieldManager, Owned]:
    operation: Operation = "Apply" if entry.get("operation") == "Apply" else "Update"
    owner = FieldManager(str(entry.get("manager", "")), operation, str(entry.get("subresource", "")))
    fields = frozenset(fieldset.parsed(entry.get("fieldsV1")))
    return owner, Owned(fields, str(entry.get("apiVersion", "")), str(entry.get("time", "")))


def _with_owners(obj: Object, owners: Owners) -> Object:
    metadata = {name: value for name, value in obj["metadata"].items() if name != "managedFields"}
    entries = [_written(owner, owned) for owner, owned in owners.items() if owned.fields]
    return {**obj, "metadata": {**metadata, **({"managedFields": entries} if entries else {})}}


def _written(owner: FieldManager, owned: Owned) -> Object:
    return {
        "manager": owner.name,
        "operation": owner.operation,
        "apiVersion": owned.api_version,
        "time": owned.time,
        "fieldsType": "FieldsV1",
        "fieldsV1": fieldset.tree(owned.fields),
        **({"subresource": owner.subresource} if owner.subresource else {}),
    }


def _since(before: Owned | None, fields: frozenset[FieldPath], obj: Object, now: datetime) -> Owned:
    if before is not None and before.fields == fields:
        return before
    return Owned(fields, obj["apiVersion"], timestamp(now))


def _without(owners: Owners, lost: frozenset[FieldPath], keeper: FieldManager) -> Owners:
    """The owners after all except `keeper` have lost some fields."""
    return {
        owner: owned if owner == keeper else replace(owned, fields=owned.fields - lost)
        for owner, owned in owners.items()
    }


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(entry) for name, entry in value.items() if entry is not None}
    return value


def _conflicts(
    others: Owners, old: Object, config: Object, wanted: frozenset[FieldPath]
) -> Iterator[tuple[FieldManager, FieldPath]]:
    for owner, owned in others.items():
        for path in sorted(fieldset.changed(wanted & owned.fields, old, config)):
            yield owner, path


def _conflict(kind: Kind, name: str, conflicts: Sequence[tuple[FieldManager, FieldPath]]) -> errors.Conflict:
    causes = tuple(
        Cause("FieldManagerConflict", f'conflict with "{owner.name}" using {kind.api_version}', "." + ".".join(path))
        for owner, path in conflicts
    )
    plural = "conflicts" if len(causes) > 1 else "conflict"
    text = ", ".join(f"{cause.message}: {cause.field}" for cause in causes)
    error = rejections.conflict(kind, name, "")
    return errors.Conflict(f"Apply failed with {len(causes)} {plural}: {text}", causes=causes, details=error.details)
