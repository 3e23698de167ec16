# SPDX-License-Identifier: Apache-2.0
"""The differences of two JSON values, for rejections of a change."""

import json
from collections.abc import Iterator
from typing import Any


def lines(old: Any, new: Any, path: str = "") -> str:
    """One paragraph for each difference: its path, the old value and the new value."""
    return "".join(_paragraph(*difference) for difference in _walk(old, new, path))


def _walk(old: Any, new: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(old, dict) and isinstance(new, dict):
        for name in (*old, *(name for name in new if name not in old)):
            yield from _walk(old.get(name), new.get(name), f"{path}.{name}" if path else name)
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            yield from _walk(_at(old, index), _at(new, index), f"{path}[{index}]")
    elif old != new:
        yield path, old, new


def _at(values: list[Any], index: int) -> Any:
    return values[index] if index < len(values) else None


def _paragraph(path: str, old: Any, new: Any) -> str:
    before = "" if old is None else f"\t-: {json.dumps(old)}\n"
    after = "" if new is None else f"\t+: {json.dumps(new)}\n"
    return f"{path}:\n{before}{after}"
