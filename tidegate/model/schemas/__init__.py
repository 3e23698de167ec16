# SPDX-License-Identifier: Apache-2.0
"""The schema of every kind that Tidegate serves: which fields there are, of which type, and what they are for.

Admission decodes objects by them (`decoded`), the API server reports fields that there are not (`unknown_fields`) and
tells clients of those that there are (`schema`). They are described in `kubernetes`, `knative` and `core`, in the
notation of `language`.
"""

from collections.abc import Sequence

from tidegate.model import errors
from tidegate.model.errors import Cause
from tidegate.model.kinds import Kind
from tidegate.model.objects import Object
from tidegate.model.schemas import core, knative, openapi
from tidegate.model.schemas.decode import Decoding
from tidegate.model.schemas.types import Record

_RECORDS: dict[Kind, Record] = {**knative.KINDS, **core.KINDS}


def schema(kind: Kind) -> Object:
    """The OpenAPI v3 schema of a kind."""
    return openapi.of_record(_RECORDS[kind])


def unknown_fields(kind: Kind, obj: Object) -> Sequence[str]:
    """The paths of fields that the kind does not have: "spec.template.spec.containers[0].foo"."""
    decoding = Decoding(strict=False)
    decoding.record(_RECORDS[kind], obj, "")
    return decoding.unknown


def decoded(kind: Kind, obj: Object) -> Object:
    """`obj` with the types its kind has; `BadRequest` names every field of another type.

    Knative's kinds lose unknown fields and what says nothing, as when Knative stores them; Kubernetes' own lose nulls.
    """
    decoding = Decoding(strict=kind in knative.KINDS)
    made: Object = decoding.record(_RECORDS[kind], obj, "")
    if decoding.mistakes:
        raise _refusal(kind, decoding.mistakes)
    made.setdefault("metadata", {})
    return made


def _refusal(kind: Kind, mistakes: Sequence[tuple[str, str]]) -> errors.BadRequest:
    told = "; ".join(f"{path or 'the object'}: {mistake}" for path, mistake in mistakes)
    message = f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}: {told}'
    causes = tuple(Cause("FieldValueTypeInvalid", mistake, path) for path, mistake in mistakes)
    return errors.BadRequest(message, causes=causes)
