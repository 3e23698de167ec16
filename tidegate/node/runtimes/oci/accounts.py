# SPDX-License-Identifier: Apache-2.0
"""The users and groups that an image knows by name: its /etc/passwd and /etc/group. Pure.

In: the texts of both files, which the maker of the image writes. Out: numbers. Damaged lines are skipped, as by
getpwnam(3). Called by: `identity.py`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

MOST = 2**31 - 1
"""The greatest user or group, as in Kubernetes."""


class Account(NamedTuple):
    """A line of /etc/passwd. `group`: the user's own group."""

    name: str
    user: int
    group: int


class Group(NamedTuple):
    """A line of /etc/group."""

    name: str
    number: int
    members: frozenset[str]


@dataclass(frozen=True, slots=True)
class Accounts:
    """`passwd` and `group`: the contents of the files; empty for an image without them."""

    passwd: str = ""
    group: str = ""

    def user(self, name: str) -> Account | None:
        """The account with this name, or this number."""
        number = numeric(name)
        return next((found for found in self._accounts() if name == found.name or number == found.user), None)

    def group_number(self, name: str) -> int | None:
        return next((found.number for found in self._groups() if name == found.name), None)

    def groups_of(self, account: str) -> tuple[int, ...]:
        """The groups that name this account as a member."""
        return tuple(found.number for found in self._groups() if account in found.members)

    def _accounts(self) -> Iterator[Account]:
        for line in self.passwd.splitlines():
            fields = line.strip().split(":")
            numbers = [numeric(field) for field in fields[2:4]]
            if len(numbers) == 2 and numbers[0] is not None and numbers[1] is not None:
                yield Account(fields[0], numbers[0], numbers[1])

    def _groups(self) -> Iterator[Group]:
        for line in self.group.splitlines():
            fields = line.strip().split(":")
            number = numeric(fields[2]) if len(fields) > 2 else None
            if number is not None:
                yield Group(fields[0], number, frozenset(fields[3].split(",") if len(fields) > 3 else ()))


def numeric(text: str) -> int | None:
    """The user or group that a text is the number of; None for a name, and for a number that no user can have."""
    if not (text.isascii() and text.isdecimal() and len(text) <= 10):
        return None
    return int(text) if int(text) <= MOST else None
