# SPDX-License-Identifier: Apache-2.0
"""The user of a Pod's processes.

In: a Pod and one of its containers. Out: a `Confinement`; `privileges.py` has the rules. If root runs Tidegate, each
namespace has a user of its own (`users.py`), so that no app can read the state folder or another namespace's files.
Otherwise all apps run as the user who runs Tidegate. Called by: `programs.py`; `this_host.py` and tests make one.
"""

import asyncio
import ctypes
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tidegate.client.cluster import Cluster
from tidegate.model import errors
from tidegate.model.kinds import NAMESPACE
from tidegate.model.objects import Key, Object, uid
from tidegate.node.runtime import LaunchRejected, RuntimeUnavailable
from tidegate.node.runtimes.process import privileges
from tidegate.node.runtimes.process.confinement import Confinement
from tidegate.node.runtimes.process.privileges import HostPrivileges
from tidegate.node.runtimes.process.reach import ANYWHERE, Reach, reach
from tidegate.node.runtimes.process.rejections import CANNOT
from tidegate.node.runtimes.process.users import NoUserLeft, Users, primary_group

_LANDLOCK_CREATE_RULESET = 444
_LANDLOCK_VERSION = 1  # a flag: return the version of Landlock
_TRUNCATE_SINCE = 3
_NEEDED = ("SETUID", "SETGID", "SETPCAP", "CHOWN", "KILL")


class NamespaceUsers:
    """The users of namespaces, by a Pod's namespace."""

    def __init__(self, cluster: Cluster, users: Users) -> None:
        self._cluster = cluster
        self._users = users

    async def of(self, pod: Object) -> int:
        """Raises `LaunchRejected`."""
        name = pod["metadata"].get("namespace", "")
        try:
            return await self._users.of(uid(await self._cluster.get(NAMESPACE, Key("", name))))
        except (errors.NotFound, NoUserLeft, OSError) as error:
            raise LaunchRejected(CANNOT, f"no user for namespace {name}: {error}") from error


class Identities:
    """The confinement of every container. `users`: None if all apps run as the user who runs Tidegate."""

    def __init__(self, host: HostPrivileges, users: NamespaceUsers | None = None) -> None:
        self.has_app_users = host.has_app_users
        self._host = host
        self._users = users

    async def of(self, pod: Object, container: Object, *, in_sandbox: bool = False) -> Confinement:
        """Raises `LaunchRejected`."""
        own = await self._users.of(pod) if self._users is not None else self._host.user
        named = privileges.security_context(pod, container).get("runAsUser")
        account_group = await asyncio.to_thread(primary_group, named) if named and self.has_app_users else None
        host = replace(self._host, landlock=True) if in_sandbox else self._host  # its mounts are read-only instead
        return privileges.confinement(pod, container, host, own, account_group)


def as_ourselves() -> Identities:
    """All apps run as the user who runs Tidegate."""
    groups = frozenset(os.getgroups())
    return Identities(HostPrivileges(os.geteuid(), os.getegid(), groups, landlock=_has_landlock()))


def as_users_of_their_own(
    cluster: Cluster, file: Path, uids: range, needed: Sequence[Path], *, allow_root: bool
) -> Identities:
    """`file`: where the users are recorded; `needed`: folders that every app must reach. Raises
    `RuntimeUnavailable`."""
    around = reach([*needed, Path(sys.base_prefix)])  # bundles have Python from there
    if problem := hindrance(around):
        raise RuntimeUnavailable(problem)
    host = HostPrivileges(
        user=0,
        group=0,
        capabilities=_own_capabilities(),
        has_app_users=True,
        allows_root=allow_root,
        uids=uids,
        landlock=_has_landlock(),
        reach=around,
    )
    return Identities(host, NamespaceUsers(cluster, Users(file, uids)))


def hindrance(around: Reach = ANYWHERE) -> str:
    """Why apps cannot run as users of their own on this host; "" if they can."""
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
    """Whether Landlock also keeps files from being truncated."""
    version = ctypes.CDLL(None).syscall(_LANDLOCK_CREATE_RULESET, None, 0, _LANDLOCK_VERSION)
    return bool(version >= _TRUNCATE_SINCE)
