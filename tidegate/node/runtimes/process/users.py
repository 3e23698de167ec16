# SPDX-License-Identifier: Apache-2.0
"""A user id for each namespace, which nobody else on this host has.

In: a Namespace's uid. Out: the user id, the same for as long as the namespace exists, also after a restart. It is
recorded in a file of the state folder. The search for a free number begins at a hash of the Namespace's uid, so that
two Tidegates on one host, or two namespaces one after the other, hardly ever choose the same number in a range as large
as the usual one. The number of a deleted namespace is not used again while another is free.

Called by: `identity.py`.
"""

import asyncio
import grp
import hashlib
import pwd
from pathlib import Path

import msgspec

from tidegate.kit.files import write_whole

WIDE = range(2_000_000_000, 2_100_000_000)
"""The usual range: above the numbers of accounts, systemd's containers and OpenShift's namespaces."""

NARROW = range(61_184, 65_520)
"""The range if only 65,536 users are mapped, as in unprivileged containers: the range of systemd's dynamic users."""

_MAP = Path("/proc/self/uid_map")


class NoUserLeft(Exception):
    """All numbers of the range are taken."""


class Users:
    """The users of the namespaces of one Tidegate."""

    def __init__(self, file: Path, uids: range) -> None:
        self.uids = uids
        self._file = file
        self._one = asyncio.Lock()
        try:
            self._users = msgspec.json.decode(file.read_bytes(), type=dict[str, int])
        except (FileNotFoundError, msgspec.DecodeError):  # the search finds the same numbers again
            self._users = {}

    async def of(self, namespace: str) -> int:
        """The user of a namespace, which is known by its uid. Raises `NoUserLeft`, or `OSError` if it cannot be
        recorded."""
        if (user := self._users.get(namespace, -1)) in self.uids:
            return user
        async with self._one:
            if (user := self._users.get(namespace, -1)) in self.uids:
                return user
            return await asyncio.to_thread(self._take, namespace)

    def _take(self, namespace: str) -> int:
        taken = set(self._users.values())
        start = int.from_bytes(hashlib.sha256(namespace.encode()).digest()[:8]) % len(self.uids)
        for step in range(min(len(self.uids), len(taken) + 10_000)):
            user = self.uids[(start + step) % len(self.uids)]
            if user not in taken and not has_account(user):
                users = {**self._users, namespace: user}
                write_whole(self._file, msgspec.json.encode(users))
                self._users = users
                return user
        raise NoUserLeft(f"all users from {self.uids[0]} to {self.uids[-1]} are taken")


def has_account(number: int) -> bool:
    """Whether this host has a user or a group of that number."""
    return primary_group(number) is not None or _has_group(number)


def primary_group(user: int) -> int | None:
    """The group of an account; None for a number that is not or cannot be an account."""
    try:
        return pwd.getpwuid(user).pw_gid
    except (KeyError, OverflowError):
        return None


def _has_group(number: int) -> bool:
    try:
        grp.getgrgid(number)
    except KeyError:
        return False
    return True


def usual_uids(mapping: str | None = None) -> range:
    """The default range: the wide one if this user namespace has it."""
    lines = (mapping if mapping is not None else _MAP.read_text()).splitlines()
    mapped = [range(int(first), int(first) + int(count)) for first, _, count in map(str.split, lines)]
    wide = any(WIDE[0] in part and WIDE[-1] in part for part in mapped)
    return WIDE if wide else NARROW
