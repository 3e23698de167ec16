# SPDX-License-Identifier: Apache-2.0
"""Who the processes of a Pod are.

In: a Pod and one of its containers. Out: a `Confinement` (`privileges` has the rules). Where root runs Tidegate, each
namespace has a user of its own (`users`), so that no app reads the state folder or what is another namespace's; where
another user does, all run as that user. Who: `container`; `embedded.py` and the tests make one.
"""

import asyncio
import ctypes
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from tidegate.client.cluster import Cluster
from tidegate.model import errors
from tidegate.model.kinds import NAMESPACE
from tidegate.model.objects import Key, Object, uid
from tidegate.node.runtime import Confinement, LaunchRefused
from tidegate.node.runtimes.process import privileges
from tidegate.node.runtimes.process.privileges import HostPrivileges
from tidegate.node.runtimes.process.reach import ANYWHERE, Reach, reach
from tidegate.node.runtimes.process.users import NoUserLeft, Users, primary_group

_CANNOT = "CreateContainerError"
_LANDLOCK_CREATE_RULESET = 444
_LANDLOCK_VERSION = 1  # a flag: answer which version there is
_TRUNCATE_SINCE = 3
_NEEDED = ("SETUID", "SETGID", "SETPCAP", "CHOWN", "KILL")


class IdentityError(Exception):
    """Apps cannot be run as users of their own; the message is one line."""


class Identities:
    """The confinement of every container. `users`: None where all run as we do."""

    def __init__(self, cluster: Cluster, host: HostPrivileges, users: Users | None = None) -> None:
        self.switches = host.switches
        self._cluster = cluster
        self._host = host
        self._users = users

    async def of(self, pod: Object, container: Object) -> Confinement:
        """Raises `LaunchRefused`."""
        own = await self._own(pod) if self._users is not None else self._host.user
        named = privileges.security_context(pod, container).get("runAsUser")
        account_group = await asyncio.to_thread(primary_group, named) if named and self.switches else None
        return privileges.confinement(pod, container, self._host, own, account_group)

    async def _own(self, pod: Object) -> int:
        if self._users is None:
            return self._host.user
        name = pod["metadata"].get("namespace", "")
        try:
            return await self._users.of(uid(await self._cluster.get(NAMESPACE, Key("", name))))
        except (errors.NotFound, NoUserLeft, OSError) as error:
            raise LaunchRefused(_CANNOT, f"no user for namespace {name}: {error}") from error


def as_ourselves(cluster: Cluster) -> Identities:
    """All run as the user who runs this."""
    groups = frozenset(os.getgroups())
    return Identities(cluster, HostPrivileges(os.geteuid(), os.getegid(), groups, landlock=_has_landlock()))


def as_users_of_their_own(
    cluster: Cluster, file: Path, uids: range, needed: Sequence[Path], *, allow_root: bool
) -> Identities:
    """`file`: where the users are recorded; `needed`: folders that every app must get to. Raises `IdentityError`."""
    around = reach([*needed, Path(sys.base_prefix)])  # bundles have Python from there
    if problem := hindrance(around):
        raise IdentityError(problem)
    host = HostPrivileges(
        user=0,
        group=0,
        capabilities=_own_capabilities(),
        switches=True,
        allows_root=allow_root,
        uids=uids,
        landlock=_has_landlock(),
        reach=around,
    )
    return Identities(cluster, host, Users(file, uids))


def hindrance(around: Reach = ANYWHERE) -> str:
    """Why apps cannot run as users of their own here; "" where they can."""
    ours = _own_capabilities()
    lacking = [name for name in _NEEDED if not ours & privileges.capability(name)]
    if lacking:
        missing = f"CAP_{lacking[0]}, which root lacks here"
        return f"running apps as users of their own takes {missing}: start Tidegate as a user other than root"
    if around.covered and not ours & privileges.capability("SYS_ADMIN"):
        return (
            f"apps run as users of their own, who may not pass {around.covered[0]} to {around.exposed[0]}: "
            f"use another state folder (--data-dir /var/lib/tidegate), or run: chmod o+x {around.covered[0]}"
        )
    return ""


def _own_capabilities() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16)
    return 0


def _has_landlock() -> bool:
    """Whether it also keeps files from being truncated."""
    version = ctypes.CDLL(None).syscall(_LANDLOCK_CREATE_RULESET, None, 0, _LANDLOCK_VERSION)
    return bool(version >= _TRUNCATE_SINCE)
