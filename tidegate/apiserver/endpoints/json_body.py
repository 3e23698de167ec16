# SPDX-License-Identifier: Apache-2.0
"""JSON -> a value, and the paths of duplicate keys. Pure; the work grows with the bytes.

A body with too many values is rejected before any value is made, a body that is nested too deep before anything
recurses over it.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from tidegate.model import errors

DEEPEST = 100
"""Levels of nesting. Functions on objects recurse, and Python's stack is limited."""

MOST_VALUES = 50_000
"""Objects, lists, texts and numbers in a body. The largest object of a Service has some hundreds."""

_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[,\[{]', re.DOTALL)


def decoded(body: bytes) -> tuple[Any, list[str]]:
    """The value, and the paths of duplicate keys."""
    if _at_most(body) > MOST_VALUES and _values(body) > MOST_VALUES:
        raise too_many_values()
    try:
        value = msgspec.json.decode(body)
        require_shallow(value)
        return value, _doubled(body)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise errors.BadRequest(f"the body is not valid JSON: {error}") from error


def too_many_values() -> errors.TooLarge:
    return errors.TooLarge(f"the body has more than {MOST_VALUES} values")


def too_deep() -> errors.BadRequest:
    return errors.BadRequest(f"the body is nested more than {DEEPEST} levels deep")


def _at_most(body: bytes) -> int:
    """An upper bound of the number of values: each follows one of these marks, which may also be in a text."""
    return 1 + sum(body.count(mark) for mark in (b",", b"[", b"{"))


def _values(body: bytes) -> int:
    """The number of values, or a number above the limit."""
    values = 1
    for token in _TOKEN.finditer(body):
        values += token[0][:1] != b'"'
        if values > MOST_VALUES:
            break
    return values


def require_shallow(value: Any) -> None:
    level = [value]
    for _ in range(DEEPEST):
        level = [entry for value in level if isinstance(value, dict | list) for entry in _entries(value)]
        if not level:
            return
    raise too_deep()


def _entries(value: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value


def _doubled(body: bytes) -> list[str]:
    doubled: dict[int, tuple[dict[str, Any], list[str]]] = {}  # by identity; holding them keeps it unique

    def collect(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        collected = dict(pairs)
        if len(collected) != len(pairs):
            doubled[id(collected)] = collected, _twice(name for name, _ in pairs)
        return collected

    value = json.loads(body, object_pairs_hook=collect, parse_int=str)
    names = {identity: found for identity, (_, found) in doubled.items()}
    return list(_paths(value, names)) if names else []


def _twice(names: Iterable[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]


def _paths(value: Any, doubled: dict[int, list[str]], path: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        yield from (f"{path}.{name}".lstrip(".") for name in doubled.get(id(value), ()))
        for name, entry in value.items():
            yield from _paths(entry, doubled, f"{path}.{name}")
    elif isinstance(value, list):
        for index, entry in enumerate(value):
            yield from _paths(entry, doubled, f"{path}[{index}]")
