# SPDX-License-Identifier: Apache-2.0
"""Schemas: the fields of each kind, their types and what they are for.

Admission decodes objects by them (`decoded`). The API server reports unknown fields (`unknown_fields`) and publishes
the known ones (`openapi.of_object`). One file an API group describes its kinds, in the notation of `language`.
"""

from collections.abc import Sequence

from tidegate.model import errors
from tidegate.model.errors import Cause
from tidegate.model.kinds import Kind
from tidegate.model.objects import Object
from tidegate.model.schemas.decode import Decoding
from tidegate.model.schemas.types import ObjectType


def unknown_fields(type_: ObjectType, obj: Object) -> Sequence[str]:
    """The paths of fields that the type does not have: "spec.template.spec.containers[0].foo"."""
    decoding = Decoding(strict=False)
    decoding.object(type_, obj, "")
    return decoding.unknown


def decoded(kind: Kind, type_: ObjectType, obj: Object, *, pruned: bool) -> Object:
    """`obj` with values of the types in its schema; `BadRequest` names every field that has another type.

    `pruned`: it loses unknown fields and values that mean nothing. Otherwise it loses nulls only.
    """
    decoding = Decoding(strict=pruned)
    made: Object = decoding.object(type_, obj, "")
    if decoding.mistakes:
        raise _rejection(kind, decoding.mistakes)
    made.setdefault("metadata", {})
    return made


def _rejection(kind: Kind, mistakes: Sequence[tuple[str, str]]) -> errors.BadRequest:
    text = "; ".join(f"{path or 'the object'}: {mistake}" for path, mistake in mistakes)
    message = f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}: {text}'
    causes = tuple(Cause("FieldValueTypeInvalid", mistake, path) for path, mistake in mistakes)
    return errors.BadRequest(message, causes=causes)
