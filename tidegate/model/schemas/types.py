# SPDX-License-Identifier: Apache-2.0
"""The types that a schema consists of. Built by `language`, read by `decode` and `openapi`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Scalar = Literal["string", "int32", "int64", "number", "boolean", "quantity", "port", "time", "url", "any"]
"""`port`: a number or a name. `any`: any JSON value."""


@dataclass(frozen=True, slots=True)
class List:
    item: "Type"


@dataclass(frozen=True, slots=True)
class Map:
    """An object whose keys the author chooses."""

    value: "Type"


@dataclass(frozen=True, slots=True)
class Field:
    """One field of an `ObjectType`.

    | presence | an empty value ("", 0, false, [], {})      | in Go                   |
    | --- | --- | --- |
    | omitted  | means the same as no value, and is dropped | `string,omitempty`      |
    | kept     | is a value of its own                      | `*int64,omitempty`      |
    | always   | is written even if the author wrote none   | `string` (no omitempty) |
    """

    type: "Type"
    description: str
    presence: Literal["omitted", "kept", "always"] = "omitted"


@dataclass(frozen=True, slots=True)
class ObjectType:
    """An object with known fields. An open one also keeps fields that it does not know."""

    name: str
    description: str
    fields: Mapping[str, Field] = field(repr=False)
    open: bool = False


Type = Scalar | List | Map | ObjectType
