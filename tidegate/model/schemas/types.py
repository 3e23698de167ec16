# SPDX-License-Identifier: Apache-2.0
"""What a schema is made of. Built by `language.read`, walked by `decode` and `openapi`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Scalar = Literal["string", "int32", "int64", "number", "boolean", "quantity", "port", "time", "url", "any"]
"""`port`: a number or a name. `any`: whatever it is."""


@dataclass(frozen=True, slots=True)
class List:
    item: "Type"


@dataclass(frozen=True, slots=True)
class Map:
    """An object whose keys are its author's."""

    value: "Type"


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a record.

    | presence | an empty value ("", 0, false, [], {}) is   | as in Go's            |
    | --- | --- | --- |
    | omitted  | the same as nothing, and dropped           | `string,omitempty`    |
    | kept     | a value of its own                         | `*int64,omitempty`    |
    | always   | written even where its author wrote none   | `string` (no omitempty) |
    """

    type: "Type"
    description: str
    presence: Literal["omitted", "kept", "always"] = "omitted"


@dataclass(frozen=True, slots=True)
class Record:
    """An object with known fields. An open one keeps what it does not know."""

    name: str
    description: str
    fields: Mapping[str, Field] = field(repr=False)
    open: bool = False


Type = Scalar | List | Map | Record
