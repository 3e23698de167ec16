# SPDX-License-Identifier: Apache-2.0
"""Checks of names, ports, disk, memory and limits. Each takes a `HostView`. Called by: `checks.py`, whose table has
them."""

import resource

from tidegate.doctor.finding import Finding, HostView, missing, ok, warning

_LEAST_DISK, _GOOD_DISK = 200 * 2**20, 2 * 2**30
_GOOD_FILES = 65_536
_GOOD_INSTANCES = 512


def local_names(host: HostView) -> Finding:
    return ok() if host.resolves("localhost") else missing("localhost has no address: see /etc/hosts")


def service_names(host: HostView) -> Finding:
    if host.resolves("a.default.localhost"):
        return ok()
    return warning("NAME.default.localhost has no address: use curl or a browser, or send the Host header")


def name_servers(host: HostView) -> Finding:
    lines = [line.split() for line in host.text("/etc/resolv.conf").splitlines()]
    servers = [words[1] for words in lines if len(words) > 1 and words[0] == "nameserver"]
    return ok(", ".join(servers[:3])) if servers else warning("/etc/resolv.conf names no server")


def ports(host: HostView) -> Finding:
    taken = [str(port) for port in host.ports if host.listens(port)]
    return warning(f"in use: {', '.join(taken)}") if taken else ok(", ".join(map(str, host.ports)))


def disk(host: HostView) -> Finding:
    free = host.free_bytes(host.home)
    text = f"{free / 2**30:.1f} GiB free at {host.home}"
    if free < _LEAST_DISK:
        return missing(text)
    return ok(text) if free >= _GOOD_DISK else warning(text)


def open_files(host: HostView) -> Finding:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most == resource.RLIM_INFINITY:
        return ok("unlimited")
    return ok(str(most)) if most >= _GOOD_FILES else warning(f"{most}: enough for some {most // 10} instances")


def inotify(host: HostView) -> Finding:
    most = host.number("/proc/sys/fs/inotify/max_user_instances") or 0
    text = f"fs.inotify.max_user_instances is {most}"
    return ok(text) if most >= _GOOD_INSTANCES else warning(text)


def swap(host: HostView) -> Finding:
    devices = [line.split()[0] for line in host.text("/proc/swaps").splitlines()[1:] if line]
    return ok(", ".join(devices)) if devices else warning("no swap and no zram")
