# SPDX-License-Identifier: Apache-2.0
"""The notation of schemas, read once at import. In: text. Out: object types by name.

    HTTPHeader: A header of a request.
      name!   string    The header's name.
      value!  string    Its value.

    Probe: A check of a container's health.
      httpHeaders     [HTTPHeader]  A list of objects.
      initialDelay    int32         A number.
      annotations     {string}      A map.
      enabled?        boolean       A value whose false differs from no value.
      ...Handler                    The fields of another type.

A type begins at the margin with its name (`Name*` if it keeps fields that it does not know) and description. Each line
below is one field: its name, its type and its description, separated by two or more spaces. A line that is indented
further continues the description. `?` and `!` are the presence `kept` and `always` of `types.Field`. A list or map with
neither is dropped when it is empty. An object (or `any`) is kept if its author wrote it, unless its name ends in `-`. A
type stands before the types that use it.
"""

import re
from collections.abc import Iterator, Mapping
from typing import get_args

from tidegate.model.schemas.types import Field, List, Map, ObjectType, Scalar, Type

_HEAD = re.compile(r"(\w+)(\*?): (.+)")
_FIELD = re.compile(r"  (\.\.\.)?([\w$-]+?)([?!-]?)(?:\s{2,}(\S+)\s{2,}(.+))?")
_SCALARS = frozenset(get_args(Scalar))


def read(text: str, known: Mapping[str, ObjectType] | None = None) -> dict[str, ObjectType]:
    """The types that `text` describes, and the `known` ones."""
    types: dict[str, ObjectType] = dict(known or {})
    for head, body in _blocks(text):
        found = _HEAD.fullmatch(head)
        if found is None:
            raise ValueError(f"not the head of a type: {head!r}")
        fields: dict[str, Field] = {}
        for line in body:
            fields |= _fields(line, types)
        types[found[1]] = ObjectType(found[1], found[3], fields, open=bool(found[2]))
    return types


def kind(name: str, description: str, types: Mapping[str, ObjectType]) -> ObjectType:
    """The type of a kind whose spec and status are the types `{name}Spec` and `{name}Status`."""
    text = f"""{name}: {description}
  apiVersion  string        The group and version of this kind.
  kind        string        The name of this kind.
  metadata    ObjectMeta    Standard object metadata.
  spec!       {name}Spec    Desired state.
  status-     {name}Status  Observed state. Written by the controllers.
"""
    return read(text, types)[name]


def _blocks(text: str) -> Iterator[tuple[str, list[str]]]:
    head, body = "", list[str]()
    for line in text.splitlines():
        if line.startswith("    "):
            body[-1] += f" {line.strip()}"
        elif line.startswith("  "):
            body.append(line.rstrip())
        elif line:
            if head:
                yield head, body
            head, body = line, []
    yield head, body


def _fields(line: str, types: Mapping[str, ObjectType]) -> dict[str, Field]:
    found = _FIELD.fullmatch(line)
    if found is None:
        raise ValueError(f"not a field: {line!r}")
    inline, name, mark, kind, description = found.groups()
    if inline:
        return dict(types[name].fields)
    type_ = _type(kind, types)
    if mark == "!":
        return {name: Field(type_, description, "always")}
    kept = mark == "?" or (_is_object(type_) and mark != "-")
    return {name: Field(type_, description, "kept" if kept else "omitted")}


def _is_object(type_: Type) -> bool:
    return isinstance(type_, ObjectType) or type_ == "any"


def _type(text: str, types: Mapping[str, ObjectType]) -> Type:
    if text.startswith("["):
        return List(_type(text[1:-1], types))
    if text.startswith("{"):
        return Map(_type(text[1:-1], types))
    if text in _SCALARS:
        scalar: Scalar = text  # type: ignore[assignment]  # it is one of its values
        return scalar
    return types[text]
