# SPDX-License-Identifier: Apache-2.0
"""The numbers of Pods, which their addresses and interfaces are derived from. Pure. Called by: `pod_network.py`."""

from collections.abc import Collection


class Numbers:
    """The numbers from 1 to `most`. They are taken in a circle, so that an address is used again as late as possible:
    until then, no connection that was meant for the earlier Pod reaches another one."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken: set[int] = set()
        self._last = 0

    def next(self) -> int | None:
        """Take the next free number; None if all are taken."""
        for offset in range(self._most):
            number = (self._last + offset) % self._most + 1
            if number not in self._taken:
                self.take(number)
                return number
        return None

    def take(self, number: int) -> None:
        self._taken.add(number)
        self._last = number

    def free(self, numbers: Collection[int]) -> None:
        self._taken.difference_update(numbers)

    @property
    def exhausted(self) -> bool:
        return len(self._taken) >= self._most
