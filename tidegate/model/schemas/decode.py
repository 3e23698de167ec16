# SPDX-License-Identifier: Apache-2.0
"""Decodes any JSON value into an object with the types of its schema, so that later code can rely on them.

In: a type and a value. Out: a new object, the `mistakes` (fields of another type) and the `unknown` fields. With
`strict`, the object has the form in which Go stores it: no unknown fields, no empty values without a meaning
(`types.Field`), quantities in canonical form. Without `strict`, only nulls are removed.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tidegate.model.schemas.types import List, Map, ObjectType, Type
from tidegate.model.text import quantities

_BAD_URL = re.compile(r"[\x00-\x20\x7f]|%(?![0-9a-fA-F]{2})")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_WORDS: dict[type, str] = {
    str: "a string",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    dict: "an object",
    list: "a list",
    type(None): "null",
}
_EMPTY: tuple[Any, ...] = ("", 0, None, [], {})


@dataclass(slots=True)
class Decoding:
    """One walk over one object."""

    strict: bool
    mistakes: list[tuple[str, str]] = field(default_factory=list)
    """Paths and errors."""
    unknown: list[str] = field(default_factory=list)

    def object(self, type_: ObjectType, value: Any, path: str) -> Any:
        if not isinstance(value, dict):
            return self._mistake(path, "an object", value, {})
        made: dict[str, Any] = {}
        tidy = self.strict and not type_.open
        for name, given in value.items():
            known = type_.fields.get(name)
            if known is None:
                self._unknown(type_, name, given, path, made)
            elif given is not None:
                decoded = self.value(known.type, given, _join(path, name))
                if not tidy or known.presence != "omitted" or not _is_empty(decoded):
                    made[name] = decoded
        if tidy:
            for name, known in type_.fields.items():
                if known.presence == "always" and name not in made:
                    made[name] = self._nothing(known.type, _join(path, name))
        return made

    def _unknown(self, type_: ObjectType, name: str, given: Any, path: str, made: dict[str, Any]) -> None:
        if not type_.open:
            self.unknown.append(_join(path, name))
        if type_.open or not self.strict:
            made[name] = given

    def value(self, type_: Type, value: Any, path: str) -> Any:
        if isinstance(type_, ObjectType):
            return self.object(type_, value, path)
        if isinstance(type_, List):
            if not isinstance(value, list):
                return self._mistake(path, "a list", value, [])
            return [self._item(type_.item, item, f"{path}[{index}]") for index, item in enumerate(value)]
        if isinstance(type_, Map):
            if not isinstance(value, dict):
                return self._mistake(path, "an object", value, {})
            return {key: self._item(type_.value, item, f"{path}[{key}]") for key, item in value.items()}
        return _SCALARS[type_](self, value, path)

    def _item(self, type_: Type, value: Any, path: str) -> Any:
        return self._nothing(type_, path) if value is None else self.value(type_, value, path)

    def _nothing(self, type_: Type, path: str) -> Any:
        """Go's zero value of a type."""
        if isinstance(type_, ObjectType):
            return self.object(type_, {}, path)
        if isinstance(type_, List):
            return []
        if isinstance(type_, Map):
            return {}
        return _NOTHING.get(type_)

    def string(self, value: Any, path: str) -> Any:
        return value if isinstance(value, str) else self._mistake(path, "a string", value, "")

    def boolean(self, value: Any, path: str) -> Any:
        return value if isinstance(value, bool) else self._mistake(path, "a boolean", value, False)

    def number(self, value: Any, path: str) -> Any:
        fits = isinstance(value, (int, float)) and not isinstance(value, bool)
        return value if fits else self._mistake(path, "a number", value, 0)

    def whole(self, value: Any, path: str, bits: int) -> Any:
        if not isinstance(value, int) or isinstance(value, bool):
            found = value if isinstance(value, float) else _WORDS.get(type(value), "something else")
            return self._wrong(path, f"expected a whole number, got {found}", 0)
        if not -(2 ** (bits - 1)) <= value < 2 ** (bits - 1):
            return self._wrong(path, f"expected a whole number of {bits} bits, got a larger one", 0)
        return value

    def quantity(self, value: Any, path: str) -> Any:
        try:
            parsed = quantities.parse(value)
        except ValueError as error:
            return self._wrong(path, str(error), "0")
        return str(parsed) if self.strict else value

    def port(self, value: Any, path: str) -> Any:
        if isinstance(value, str):
            return value
        if not isinstance(value, int) or isinstance(value, bool):
            return self._mistake(path, "a number or a string", value, 0)
        return self.whole(value, path, 32)

    def url(self, value: Any, path: str) -> Any:
        if not isinstance(value, str):
            return self._mistake(path, "a string", value, "")
        before = re.split(r"[/?#]", value, maxsplit=1)[0]
        if _BAD_URL.search(value) or (":" in before and not _SCHEME.match(before)):
            return self._wrong(path, f'"{value}" is not a URL', "")
        return value

    def any(self, value: Any, path: str) -> Any:
        return value

    def _mistake(self, path: str, expected: str, value: Any, instead: Any) -> Any:
        return self._wrong(path, f"expected {expected}, got {_WORDS.get(type(value), 'something else')}", instead)

    def _wrong(self, path: str, mistake: str, instead: Any) -> Any:
        self.mistakes.append((path, mistake))
        return instead


_SCALARS: Mapping[str, Callable[[Decoding, Any, str], Any]] = {
    "string": Decoding.string,
    "boolean": Decoding.boolean,
    "int32": lambda self, value, path: self.whole(value, path, 32),
    "int64": lambda self, value, path: self.whole(value, path, 64),
    "number": Decoding.number,
    "quantity": Decoding.quantity,
    "port": Decoding.port,
    "time": Decoding.string,
    "url": Decoding.url,
    "any": Decoding.any,
}
_NOTHING: Mapping[str, Any] = {
    "string": "",
    "boolean": False,
    "int32": 0,
    "int64": 0,
    "number": 0,
    "quantity": "0",
    "port": 0,
    "time": "",
    "url": "",
}


def _is_empty(value: Any) -> bool:
    return value is False or value in _EMPTY


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
