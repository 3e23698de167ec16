# SPDX-License-Identifier: Apache-2.0
"""The JSONPath syntax of printer columns, compiled to functions. Pure.

.a.b   ['a/b']   ["a"]   [0]   [?(@.type=='Ready')]   and any sequence of these
"""

import re
from collections.abc import Callable
from typing import Any

FieldReader = Callable[[Any], Any]

_STEP = re.compile(
    r"""\.(?P<name>[\w-]+)
      | \[(?P<quote>['"])(?P<quoted>.*?)(?P=quote)\]
      | \[(?P<index>-?\d+)\]
      | \[\?\(@\.(?P<field>[\w.-]+)\s*==\s*(?P<mark>['"])(?P<value>.*?)(?P=mark)\)\]""",
    re.VERBOSE,
)


def compiled(path: str) -> FieldReader:
    """A function that returns the value at the path, or None if there is none. Raises `ValueError` on other syntax."""
    steps: list[FieldReader] = []
    position = 0
    while position < len(path):
        match = _STEP.match(path, position)
        if match is None:
            raise ValueError(f"not a JSONPath of a printer column: {path!r} at {path[position:]!r}")
        steps.append(_step(match))
        position = match.end()

    def find(value: Any) -> Any:
        for step in steps:
            value = step(value)
            if value is None:
                return None
        return value

    return find


def _step(match: re.Match[str]) -> FieldReader:
    if match["field"]:
        field, wanted = match["field"], match["value"]
        return lambda value: next((entry for entry in _entries(value) if _member(entry, field) == wanted), None)
    if match["index"]:
        index = int(match["index"])
        return lambda value: value[index] if isinstance(value, list) and -len(value) <= index < len(value) else None
    name = match["name"] or match["quoted"] or ""
    return lambda value: _member(value, name)


def _member(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


def _entries(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
