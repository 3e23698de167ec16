# SPDX-License-Identifier: Apache-2.0
"""Types -> OpenAPI v3 schemas for `kubectl explain`. A schema contains its parts; there are no references."""

from collections.abc import Mapping
from typing import Any

from tidegate.model.objects import Object
from tidegate.model.schemas.types import List, Map, ObjectType, Type

_SCALARS: Mapping[str, Object] = {
    "string": {"type": "string"},
    "boolean": {"type": "boolean"},
    "int32": {"type": "integer", "format": "int32"},
    "int64": {"type": "integer", "format": "int64"},
    "number": {"type": "number"},
    "quantity": {"anyOf": [{"type": "integer"}, {"type": "string"}], "x-kubernetes-int-or-string": True},
    "port": {"anyOf": [{"type": "integer"}, {"type": "string"}], "x-kubernetes-int-or-string": True},
    "time": {"type": "string", "format": "date-time"},
    "url": {"type": "string"},
    "any": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
}


def of_object(type_: ObjectType) -> Object:
    properties = {
        name: {**of_type(field.type), "description": field.description} for name, field in type_.fields.items()
    }
    schema: dict[str, Any] = {"type": "object", "description": type_.description, "properties": properties}
    if type_.open:
        schema["x-kubernetes-preserve-unknown-fields"] = True
    return schema


def of_type(type_: Type) -> Object:
    if isinstance(type_, ObjectType):
        return of_object(type_)
    if isinstance(type_, List):
        return {"type": "array", "items": of_type(type_.item)}
    if isinstance(type_, Map):
        return {"type": "object", "additionalProperties": of_type(type_.value)}
    return dict(_SCALARS[type_])
