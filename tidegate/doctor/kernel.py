# SPDX-License-Identifier: Apache-2.0
"""Checks of the kernel, and of this process's rights to use it. Each takes a `HostView`. Called by: `checks.py`, whose
table has them."""

import os

from tidegate.doctor.finding import Finding, HostView, missing, ok, warning

_OLDEST, _OLDEST_LANDLOCK = (5, 8), (6, 2)
_CONTROLLERS = ("cpu", "memory", "pids")
_GROUPS = "/sys/fs/cgroup"
_CAPABILITIES = {
    "CHOWN": 0,
    "KILL": 5,
    "SETGID": 6,
    "SETUID": 7,
    "SETPCAP": 8,
    "NET_ADMIN": 12,
    "SYS_CHROOT": 18,
    "SYS_PTRACE": 19,
    "SYS_ADMIN": 21,
}


def version(host: HostView) -> Finding:
    release = host.text("/proc/sys/kernel/osrelease").strip()
    numbers = tuple(int(part) for part in release.split("-")[0].split(".")[:2] if part.isdecimal())
    if numbers < _OLDEST:
        return missing(f"Linux {release} is older than 5.8, which has pidfds for namespaces")
    if numbers < _OLDEST_LANDLOCK:
        return warning(f"Linux {release}: readOnlyRootFilesystem needs 6.2 where there is no sandbox")
    return ok(f"Linux {release}")


def capabilities(host: HostView) -> Finding:
    if not host.is_root:
        return warning("not root: apps run as your own user, and containers do not run")
    line = next(
        (line for line in host.text("/proc/self/status").splitlines() if line.startswith("CapEff:")), "CapEff: 0"
    )
    effective = int(line.split()[1], 16)
    lacking = [name for name, bit in _CAPABILITIES.items() if not effective >> bit & 1]
    if not lacking:
        return ok("root with all that is needed")
    return missing(f"root lacks CAP_{', CAP_'.join(lacking)}, as in a container without --privileged")


def control_groups(host: HostView) -> Finding:
    """Version 2, or version 1 with the controllers that limits need."""
    if host.exists(f"{_GROUPS}/cgroup.controllers"):
        here = set(host.text(f"{_GROUPS}/cgroup.controllers").split())
        lacking, kind = [name for name in _CONTROLLERS if name not in here], "version 2"
    else:
        lacking, kind = [name for name in _CONTROLLERS if not host.exists(f"{_GROUPS}/{name}")], "version 1"
    if lacking:
        return missing(f"{kind} without the controllers {', '.join(lacking)}")
    if not host.is_root and kind == "version 1":
        return warning(f"{kind}: only root can make groups")
    if not host.writable(_GROUPS) and host.is_root:
        return missing(f"{kind}, mounted read-only")
    return ok(kind)


def overlayfs(host: HostView) -> Finding:
    names = {line.split()[-1] for line in host.text("/proc/filesystems").splitlines() if line}
    if "overlay" in names:
        return ok()
    loadable = any(
        host.exists(f"/lib/modules/{os.uname().release}/kernel/fs/overlayfs/overlay.ko{end}") for end in _ENDS
    )
    return warning("the module is not loaded: modprobe overlay") if loadable else missing("the kernel has no overlayfs")


def user_namespaces(host: HostView) -> Finding:
    if host.number("/proc/sys/user/max_user_namespaces") == 0:
        return missing("user.max_user_namespaces is 0")
    if host.number("/proc/sys/kernel/unprivileged_userns_clone") == 0:
        return missing("kernel.unprivileged_userns_clone is 0")
    if host.number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == 1:
        return warning("AppArmor restricts them (kernel.apparmor_restrict_unprivileged_userns is 1)")
    return ok()


def subordinate_ids(host: HostView) -> Finding:
    ranges = [line.split(":") for line in host.text("/etc/subuid").splitlines() if line.count(":") == 2]
    largest = max((int(size) for _, _, size in ranges if size.isdecimal()), default=0)
    return ok(f"ranges of up to {largest}") if largest >= 65536 else warning("/etc/subuid has no range of 65,536")


def ip_forward(host: HostView) -> Finding:
    if host.number("/proc/sys/net/ipv4/ip_forward") == 1:
        return ok()
    return ok("off: tidegate up sets it") if host.is_root else warning("off: only root can set it")


_ENDS = ("", ".xz", ".zst", ".gz")
