# SPDX-License-Identifier: Apache-2.0
"""Parses one ConfigMap into a record. A field declares its default and its parser; its key is its name.

In: a dataclass whose fields come from `text`, `switch`, `whole`, `number`, `seconds` and similar functions; the data of
the ConfigMap. Out: the record, or `errors.Invalid`, which names the map, the key and the value. Unknown keys, e.g.
`_example`, are ignored, as in Knative.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Protocol, TypeVar

from tidegate.model import errors
from tidegate.model.text import durations, literals, quantities
from tidegate.model.text.quantities import Quantity

Data = Mapping[str, str]
Problem = tuple[str, str]
"""A key, and the error in its value."""

_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_FALSE = ("0", "f", "F", "FALSE", "false", "False")


class ConfigRecord(Protocol):
    """The result of `read`: a dataclass that checks its own values."""

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]

    def problems(self) -> Iterator[Problem]: ...


R = TypeVar("R", bound=ConfigRecord)


def setting(default: object, read: Callable[[str], object], key: str = "") -> Any:
    """A field that `read` parses; `read` raises `ValueError`. `key`: if it is not the name of the field with dashes."""
    return dataclasses.field(default=default, metadata={"read": read, "key": key})


def text(default: str) -> Any:
    return setting(default, str.strip)


def choice(default: str, *others: str) -> Any:
    """One of these words, in upper or lower case; `default` for an empty value."""

    def read_word(value: str) -> str:
        if value and value.lower() not in (default, *others):
            raise ValueError(f"must be one of {', '.join((default, *others))}")
        return value.lower() or default

    return setting(default, read_word)


def switch(default: bool, key: str = "") -> Any:
    return setting(default, _switch, key)


def whole(default: int | None, *, bits: int = 64) -> Any:
    return setting(default, lambda value: literals.whole(value, bits))


def number(default: float) -> Any:
    return setting(default, literals.number)


def seconds(default: float, key: str = "") -> Any:
    """A Go duration, as seconds."""
    return setting(default, durations.seconds, key)


def quantity(default: Quantity | None = None, key: str = "") -> Any:
    return setting(default, quantities.parse, key)


def names(default: frozenset[str]) -> Any:
    """A list that is separated by commas."""
    return setting(default, lambda value: frozenset(name.strip() for name in value.split(",") if name.strip()))


def read(record: type[R], name: str, data: Data) -> R:
    """Parse the ConfigMap `name`. Raises `Invalid`, which names every wrong key."""
    found: dict[str, Any] = {}
    causes = []
    for member in dataclasses.fields(record):
        key = member.metadata.get("key") or member.name.replace("_", "-")
        if "read" in member.metadata and key in data:
            try:
                found[member.name] = member.metadata["read"](data[key])
            except ValueError as error:
                causes.append(errors.Cause("FieldValueInvalid", f'"{data[key]}": {error}', f"data.{key}"))
    if causes:
        raise rejection(name, causes)
    made = record(**found)
    wrong = [errors.Cause("FieldValueInvalid", problem, f"data.{key}") for key, problem in made.problems()]
    if wrong:
        raise rejection(name, wrong)
    return made


def rejection(name: str, causes: list[errors.Cause]) -> errors.Invalid:
    listed = "; ".join(f"{cause.field.removeprefix('data.')}: {cause.message}" for cause in causes)
    return errors.Invalid(f"{name}: {listed}", causes=tuple(causes))


def _switch(value: str) -> bool:
    if value not in _TRUE + _FALSE:
        raise ValueError("must be true or false")
    return value in _TRUE
