# SPDX-License-Identifier: Apache-2.0
"""Everything about one kind in one record: its names, schema, defaults, rules, columns and informer.

In: declarations in `model.groups` (one file an API group) and in extension packages. Out: `Resource`s, which a
`Scheme` holds. Called by: admission, discovery, OpenAPI, tables and informers; each iterates over the scheme, so
that none of them names a kind.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tidegate.model import errors, field_errors, schemas
from tidegate.model.columns import AGE, NAME, Column
from tidegate.model.errors import Cause
from tidegate.model.field_errors import FieldError
from tidegate.model.indexes import Index
from tidegate.model.kinds import Kind
from tidegate.model.object_write import ObjectWrite
from tidegate.model.objects import Object, is_deleting
from tidegate.model.schemas import openapi
from tidegate.model.schemas.types import ObjectType

Defaults = Callable[[ObjectWrite], None]
"""Fills the new object of a write in place."""

Validate = Callable[[Kind, ObjectWrite], Sequence[str]]
"""Returns warnings for the author of a write, or raises `BadRequest` or `Invalid`, which name the wrong fields."""


def no_defaults(write: ObjectWrite) -> None:
    """Fill nothing."""


def accept(kind: Kind, write: ObjectWrite) -> Sequence[str]:
    """Every object that decodes is valid."""
    return ()


def no_warnings(write: ObjectWrite) -> Iterable[str]:
    """Nothing to warn of."""
    return ()


def kubernetes_rules(
    rules: Callable[[ObjectWrite], Iterable[Cause]],
    *,
    warnings: Callable[[ObjectWrite], Iterable[str]] = no_warnings,
) -> Validate:
    """Rules that reject as Kubernetes does: status 422, one cause a field."""

    def validate(kind: Kind, write: ObjectWrite) -> Sequence[str]:
        causes = tuple(rules(write))
        if causes:
            raise _invalid(kind, write.new, causes)
        return tuple(warnings(write))

    return validate


def knative_rules(rules: Callable[[ObjectWrite], Iterable[FieldError]]) -> Validate:
    """Rules that reject as Knative's webhook does: status 400. An object that is being deleted is always valid, so that
    its finalizers can be removed even if it breaks a newer rule."""

    def validate(kind: Kind, write: ObjectWrite) -> Sequence[str]:
        if write.old is not None and is_deleting(write.old):
            return ()
        found = field_errors.merged(rules(write))
        wrong = [error for error in found if not error.warning]
        if wrong:
            raise field_errors.rejection(wrong)
        return tuple(str(error) for error in found)

    return validate


def _invalid(kind: Kind, obj: Object, causes: Sequence[Cause]) -> errors.Invalid:
    texts = [f"{cause.field}: {cause.message}" for cause in causes]
    name = obj["metadata"].get("name", "")
    listed = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    details = {"name": name, "group": kind.group, "kind": kind.kind}
    return errors.Invalid(f'{kind} "{name}" is invalid: {listed}', causes=tuple(causes), details=details)


@dataclass(frozen=True, slots=True)
class CacheOptions:
    """What the shared informer of a kind keeps. `namespace`: the only one to watch, "" for all."""

    namespace: str = ""
    indexes: Mapping[str, Index] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Resource:
    """One kind as the API serves it.

    `pruned`: objects lose unknown fields and empty values when they are written, as those of Knative and of CRDs do,
    and get the fields that the schema marks with `!`. Otherwise they lose only nulls. `columns`: all columns of
    `kubectl get`, in order. `cache`: None if no part reads the kind through an informer.
    """

    kind: Kind
    schema: ObjectType
    pruned: bool = True
    defaults: Defaults = no_defaults
    validate: Validate = accept
    columns: tuple[Column, ...] = (NAME, AGE)
    cache: CacheOptions | None = field(default_factory=CacheOptions)

    def decoded(self, obj: Object) -> Object:
        """`obj` with values of the types in the schema; `BadRequest` names every field that has another type."""
        return schemas.decoded(self.kind, self.schema, obj, pruned=self.pruned)

    def unknown_fields(self, obj: Object) -> Sequence[str]:
        """The paths of fields that the schema does not have."""
        return schemas.unknown_fields(self.schema, obj)

    def openapi(self) -> Object:
        """The OpenAPI v3 schema."""
        return openapi.of_object(self.schema)
