# SPDX-License-Identifier: Apache-2.0
"""The query parameter `fieldValidation`: unknown and duplicate fields of an object become warnings or an error.

In: the object of a request and the paths of its duplicate keys. Out: warnings; `BadRequest` if the mode is Strict.
Called by: the endpoints that write.
"""

from collections.abc import Callable, Sequence

from starlette.requests import Request

from tidegate.apiserver.endpoints import parameters
from tidegate.apiserver.endpoints.bodies import Body
from tidegate.apiserver.registry import offload
from tidegate.model import errors
from tidegate.model.kinds import Kind
from tidegate.model.objects import Object
from tidegate.model.registry import shape

UnknownFields = Callable[[Kind, Object], Sequence[str]]
"""(kind, object) -> the JSON paths of fields the kind does not have."""


class FieldValidation:
    """Checks fields with one function that finds unknown ones."""

    def __init__(self, unknown_fields: UnknownFields) -> None:
        self._unknown_fields = unknown_fields

    async def warnings(self, request: Request, kind: Kind, body: Body) -> list[str]:
        """The warnings for a body that is an object of the kind."""

        def check() -> list[str]:
            shape.require(kind, body.value)
            return self._warnings(request, kind, body.value, body.duplicates, frozenset())

        return await offload.run(check, body.size)

    def warnings_of_change(self, request: Request, kind: Kind, old: Object, new: Object, body: Body) -> list[str]:
        """The warnings for the result of a patch. Fields of the old object cause none."""
        shape.require(kind, new)
        return self._warnings(request, kind, new, body.duplicates, frozenset(self._unknown_fields(kind, old)))

    def _warnings(
        self, request: Request, kind: Kind, obj: Object, duplicates: Sequence[str], known: frozenset[str]
    ) -> list[str]:
        mode = parameters.field_validation(request.query_params)
        if mode == "Ignore":
            return []
        unknown = [path for path in self._unknown_fields(kind, obj) if path not in known]
        found = [f'unknown field "{path}"' for path in unknown] + [f'duplicate field "{path}"' for path in duplicates]
        if found and mode == "Strict":
            prefix = f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}'
            raise errors.BadRequest(f"{prefix}: strict decoding error: {', '.join(found)}")
        return found
