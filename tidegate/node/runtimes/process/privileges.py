# SPDX-License-Identifier: Apache-2.0
"""The effect of a Pod's security contexts on processes of this host. Pure.

In: a Pod, one of its containers, and the privileges of this host and user (`HostPrivileges`). Out: a `Confinement`, or
`LaunchRejected` with the field and the reason: every accepted field takes effect. Called by: `identity.py`.

| field | if root runs Tidegate | if another user does |
| --- | --- | --- |
| runAsUser | that user; by default the namespace's own | only that user |
| runAsGroup | that group; by default the account's, else the namespace's own | only that user's own |
| supplementalGroups, fsGroup | those groups and no others | only groups of that user |
| user or group 0 | only if `--allow-root-apps` was given | - |
| capabilities.drop | an app has none; an app that is root loses these | an app has none |
| capabilities.add | stays in the bounding set, as in a container | rejected |
| allowPrivilegeEscalation | no_new_privs is set unless it is true | the same |
| readOnlyRootFilesystem | Landlock: only /dev can be written | the same |
| seccompProfile | RuntimeDefault: the launcher's filter; Unconfined: none; Localhost: rejected | the same |
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tidegate.model.objects import Object, spec
from tidegate.node.runtime import CONFIG_ERROR, LaunchRejected
from tidegate.node.runtimes.process.confinement import Confinement
from tidegate.node.runtimes.process.reach import ANYWHERE, Reach

_CAPABILITIES = (
    *("CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP"),
    *("LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER"),
    *("SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE"),
    *("SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP"),
    *("MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF"),
    "CHECKPOINT_RESTORE",
)
"""By number (linux/capability.h)."""

MOST = 2**31 - 1
"""The greatest user or group, as in Kubernetes."""


@dataclass(frozen=True, slots=True)
class HostPrivileges:
    """The user who runs Tidegate, with its groups and capabilities. `has_app_users`: whether apps run as users of
    their own; `uids`: the range of the namespaces' users; `reach`: the folders that other users may not pass."""

    user: int
    group: int
    groups: frozenset[int] = frozenset()
    capabilities: int = 0
    has_app_users: bool = False
    allows_root: bool = False
    uids: range = range(0)
    landlock: bool = True
    reach: Reach = ANYWHERE


def capability(name: str) -> int:
    """The bit of a capability; all bits for "ALL", 0 for an unknown name."""
    bare = name.upper().removeprefix("CAP_")
    if bare == "ALL":
        return (1 << len(_CAPABILITIES)) - 1
    return 1 << _CAPABILITIES.index(bare) if bare in _CAPABILITIES else 0


def confinement(
    pod: Object, container: Object, host: HostPrivileges, own: int, account_group: int | None
) -> Confinement:
    """`own`: the user of the Pod's namespace, if `host.has_app_users`; `account_group`: the group of the account
    that `runAsUser` names, if there is one. Raises `LaunchRejected`."""
    context = security_context(pod, container)
    user, group, groups = _user_and_groups(context, host, own, account_group)
    if context.get("runAsNonRoot") and user == 0:
        raise LaunchRejected(CONFIG_ERROR, "container has runAsNonRoot and would run as root")
    if context.get("privileged"):
        raise _rejection("securityContext.privileged", "a process of this host is not made privileged")
    filtered = _filtered(context)
    read_only = bool(context.get("readOnlyRootFilesystem"))
    if read_only and not host.landlock:
        raise _rejection("securityContext.readOnlyRootFilesystem", "it takes Landlock of Linux 6.2 or later")
    gains = context.get("allowPrivilegeEscalation") is True
    if gains and (read_only or filtered):
        field = "readOnlyRootFilesystem" if read_only else "seccompProfile"
        raise _rejection("securityContext.allowPrivilegeEscalation", f"the kernel does not allow it beside {field}")
    return Confinement(
        user=user if host.has_app_users else None,
        group=group if host.has_app_users else None,
        groups=tuple(groups) if host.has_app_users else (),
        capabilities=_capabilities(context.get("capabilities") or {}, host, root=user == 0),
        gains=gains,
        read_only=read_only,
        filtered=filtered,
        covered=host.reach.covered if host.has_app_users and user else (),
        exposed=host.reach.exposed if host.has_app_users and user else (),
    )


def security_context(pod: Object, container: Object) -> Object:
    """The fields of a container, and the fields of its Pod that the container does not set."""
    return {**(spec(pod).get("securityContext") or {}), **(container.get("securityContext") or {})}


def _user_and_groups(
    context: Object, host: HostPrivileges, own: int, account_group: int | None
) -> tuple[int, int, Sequence[int]]:
    wanted = context.get("supplementalGroups") or []
    groups = [*wanted, *([context["fsGroup"]] if context.get("fsGroup") is not None else [])]
    if host.has_app_users:
        user = context.get("runAsUser", own)
        group = context.get("runAsGroup", _group(user, own, account_group))
        _check_number("runAsUser", user, own, host)
        for field, number in (("runAsGroup", group), *(("supplementalGroups", each) for each in groups)):
            _check_number(field, number, own, host)
        return user, group, groups
    for field, number, ours in (("runAsUser", host.user, (host.user,)), ("runAsGroup", host.group, (host.group,))):
        if context.get(field, number) not in ours:
            raise _not_ours(field, context[field], host)
    for each in groups:
        if each not in (host.group, *host.groups):
            raise _not_ours("supplementalGroups" if each in wanted else "fsGroup", each, host)
    return host.user, host.group, groups


def _group(user: int, own: int, account_group: int | None) -> int:
    """The default is never root's group."""
    return account_group or own if user else 0


def _check_number(field: str, number: int, own: int, host: HostPrivileges) -> None:
    if not 0 <= number <= MOST:  # to the kernel -1 means "unchanged", and 2**32 is 0
        raise _rejection(f"securityContext.{field}", f"{number} is not between 0 and {MOST}")
    if number == 0 and not host.allows_root:
        raise _rejection(
            f"securityContext.{field}",
            "0 is root: an app may be root only if Tidegate is started with --allow-root-apps",
        )
    if number in host.uids and number != own:
        raise _rejection(f"securityContext.{field}", f"{number} is among the users of other namespaces")


def _not_ours(field: str, number: int, host: HostPrivileges) -> LaunchRejected:
    return _rejection(
        f"securityContext.{field}", f"{number} is not {host.user}, the user who runs Tidegate and is not root"
    )


def _filtered(context: Object) -> bool:
    kind = (context.get("seccompProfile") or {}).get("type") or "Unconfined"
    if kind not in ("RuntimeDefault", "Unconfined"):
        raise _rejection("securityContext.seccompProfile.type", f"{kind} is not RuntimeDefault or Unconfined")
    return kind == "RuntimeDefault"


def _capabilities(wanted: Object, host: HostPrivileges, *, root: bool) -> int:
    """The capabilities that its processes may ever have."""
    dropped = added = 0
    for name in wanted.get("drop") or ():
        dropped |= _known("drop", name)
    for name in wanted.get("add") or ():
        bit = _known("add", name) & (host.capabilities if name.upper() == "ALL" else -1)
        if not host.has_app_users or bit & ~host.capabilities:
            raise _rejection("securityContext.capabilities.add", f"Tidegate itself does not have {name}")
        added |= bit
    return (host.capabilities & ~dropped if root else 0) | added


def _known(field: str, name: str) -> int:
    if not (bit := capability(name)):
        raise _rejection(f"securityContext.capabilities.{field}", f"there is no capability {name!r}")
    return bit


def _rejection(field: str, why: str) -> LaunchRejected:
    return LaunchRejected(CONFIG_ERROR, f"{field}: {why}")
