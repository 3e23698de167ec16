# SPDX-License-Identifier: Apache-2.0
"""Where two JSON values differ, for the answers that refuse a change."""

import json
from collections.abc import Iterator
from typing import Any


def lines(old: Any, new: Any, path: str = "") -> str:
    """A paragraph a difference: its path, what was there and what would be."""
    return "".join(_told(*difference) for difference in _walk(old, new, path))


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


def _told(path: str, old: Any, new: Any) -> str:
    before = "" if old is None else f"\t-: {json.dumps(old)}\n"
    after = "" if new is None else f"\t+: {json.dumps(new)}\n"
    return f"{path}:\n{before}{after}"
