# SPDX-License-Identifier: Apache-2.0
"""How long to wait before trying again: exponential from `first` to `limit` seconds, for each key on its own."""

from collections.abc import Hashable


class Backoff:
    """Delays that double with each failure of a key and start over once it is forgotten."""

    def __init__(self, first: float = 0.005, limit: float = 30.0) -> None:
        if not 0 < first <= limit:
            raise ValueError(f"a backoff needs 0 < first <= limit, got {first} and {limit}")
        self.first = first
        self.limit = limit
        self._failures: dict[Hashable, int] = {}

    def next(self, key: Hashable) -> float:
        """Count one more failure of `key` and return how many seconds to wait."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        # 2**60 is far beyond every limit; the bound keeps the float from overflowing.
        return float(min(self.first * 2.0 ** min(failures, 60), self.limit))

    def forget(self, key: Hashable) -> None:
        """`key` went well: its next failure waits `first` again."""
        self._failures.pop(key, None)
