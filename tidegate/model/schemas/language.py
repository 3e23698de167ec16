# SPDX-License-Identifier: Apache-2.0
"""The notation that the kinds are described in, read once at import. In: text. Out: records by name.

    HTTPHeader: A header of a request.
      name!   string    The header's name.
      value!  string    Its value.

    Probe: How to see that a container is well.
      httpHeaders     [HTTPHeader]  A list of records.
      initialDelay    int32         A number.
      annotations     {string}      A map.
      enabled?        boolean       One whose false says something.
      ...Handler                    The fields of another record.

A record begins at the margin with its name (`Name*` if it keeps fields it does not know) and description; each line
below is one field: its name, its type, its description, apart by two spaces or more; a further-indented line goes on
with the description. `?` and `!` are the presence `kept` and `always` of `types.Field`; a list or map with neither is
dropped when empty, a record (or `any`) is kept if its author wrote it, unless its name ends in `-`. Records come before
those that use them.
"""

import re
from collections.abc import Iterator, Mapping
from typing import get_args

from tidegate.model.schemas.types import Field, List, Map, Record, Scalar, Type

_HEAD = re.compile(r"(\w+)(\*?): (.+)")
_FIELD = re.compile(r"  (\.\.\.)?([\w$-]+?)([?!-]?)(?:\s{2,}(\S+)\s{2,}(.+))?")
_SCALARS = frozenset(get_args(Scalar))


def read(text: str, known: Mapping[str, Record] | None = None) -> dict[str, Record]:
    """The records that `text` describes, besides those `known`."""
    records: dict[str, Record] = dict(known or {})
    for head, body in _blocks(text):
        found = _HEAD.fullmatch(head)
        if found is None:
            raise ValueError(f"not the head of a record: {head!r}")
        fields: dict[str, Field] = {}
        for line in body:
            fields |= _fields(line, records)
        records[found[1]] = Record(found[1], found[3], fields, open=bool(found[2]))
    return records


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


def _fields(line: str, records: Mapping[str, Record]) -> dict[str, Field]:
    found = _FIELD.fullmatch(line)
    if found is None:
        raise ValueError(f"not a field: {line!r}")
    inline, name, mark, kind, description = found.groups()
    if inline:
        return dict(records[name].fields)
    type_ = _type(kind, records)
    if mark == "!":
        return {name: Field(type_, description, "always")}
    kept = mark == "?" or (_is_object(type_) and mark != "-")
    return {name: Field(type_, description, "kept" if kept else "omitted")}


def _is_object(type_: Type) -> bool:
    return isinstance(type_, Record) or type_ == "any"


def _type(text: str, records: Mapping[str, Record]) -> Type:
    if text.startswith("["):
        return List(_type(text[1:-1], records))
    if text.startswith("{"):
        return Map(_type(text[1:-1], records))
    if text in _SCALARS:
        scalar: Scalar = text  # type: ignore[assignment]  # it is one of its values
        return scalar
    return records[text]
