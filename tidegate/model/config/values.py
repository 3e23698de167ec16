# SPDX-License-Identifier: Apache-2.0
"""Reading one ConfigMap into a record: a field says its default and how its text is read, its name is its key.

In: a dataclass whose fields were made by `text`, `switch`, `whole`, `number`, `seconds` and the like; the ConfigMap's
data. Out: the record, or `errors.Invalid` that names the map, the key and the value. Keys that no field has are
ignored, as Knative does (`_example` above all).
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Protocol, TypeVar

from tidegate.model import errors
from tidegate.model.text import durations, literals, quantities
from tidegate.model.text.quantities import Quantity

Data = Mapping[str, str]
Problem = tuple[str, str]
"""A key, and what is wrong with its value."""

_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_FALSE = ("0", "f", "F", "FALSE", "false", "False")


class ConfigRecord(Protocol):
    """What `read` makes: a dataclass that can say what is wrong with itself."""

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]

    def problems(self) -> Iterator[Problem]: ...


R = TypeVar("R", bound=ConfigRecord)


def setting(default: object, read: Callable[[str], object], key: str = "") -> Any:
    """A field that `read` reads; `read` raises `ValueError`. `key` where it is not the field's name with dashes."""
    return dataclasses.field(default=default, metadata={"read": read, "key": key})


def text(default: str) -> Any:
    return setting(default, str.strip)


def choice(default: str, *others: str) -> Any:
    """One of these words, in whatever case; the first where there is none."""

    def read_word(value: str) -> str:
        if value and value.lower() not in (default, *others):
            raise ValueError(f"must be one of {', '.join((default, *others))}")
        return value.lower() or default

    return setting(default, read_word)


def switch(default: bool, key: str = "") -> Any:
    return setting(default, _switch, key)


def whole(default: int, *, bits: int = 64) -> Any:
    return setting(default, lambda value: literals.whole(value, bits))


def number(default: float) -> Any:
    return setting(default, literals.number)


def seconds(default: float, key: str = "") -> Any:
    """A Go duration, kept as seconds."""
    return setting(default, durations.seconds, key)


def quantity(default: Quantity | None = None, key: str = "") -> Any:
    return setting(default, quantities.parse, key)


def names(default: frozenset[str]) -> Any:
    """A list with commas."""
    return setting(default, lambda value: frozenset(name.strip() for name in value.split(",") if name.strip()))


def read(record: type[R], name: str, data: Data) -> R:
    """The record of the ConfigMap `name`; `Invalid` tells every key that is wrong."""
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
        raise refusal(name, causes)
    made = record(**found)
    wrong = [errors.Cause("FieldValueInvalid", problem, f"data.{key}") for key, problem in made.problems()]
    if wrong:
        raise refusal(name, wrong)
    return made


def refusal(name: str, causes: list[errors.Cause]) -> errors.Invalid:
    told = "; ".join(f"{cause.field.removeprefix('data.')}: {cause.message}" for cause in causes)
    return errors.Invalid(f"{name}: {told}", causes=tuple(causes))


def _switch(value: str) -> bool:
    if value not in _TRUE + _FALSE:
        raise ValueError("must be true or false")
    return value in _TRUE
