# SPDX-License-Identifier: Apache-2.0
"""Checks of programs that Tidegate uses. Each takes a `HostView`. Called by: `checks.py`, whose table has them."""

import re

from tidegate.doctor.finding import Finding, HostView, missing, ok, warning

_VERSION = re.compile(r"\d+\.\d+[\w.~+-]*")
_OLDEST_BUBBLEWRAP = (0, 8)
_PROFILES = ("/etc/containers/seccomp.json", "/usr/share/containers/seccomp.json")


def oci_runtime(host: HostView) -> Finding:
    """crun or runc, and whether it starts on this host at all."""
    found = [name for name in ("crun", "runc") if host.program(name)]
    answers = {name: host.run(host.program(name) or name, "--version") for name in found}
    working = [_named(name, answer.text) for name, answer in answers.items() if answer.code == 0]
    if not working:
        return missing(f"{found[0]} does not run" if found else "neither crun nor runc is installed")
    if found == ["crun"] and host.exists("/sys/fs/cgroup/unified"):
        return missing("crun refuses control groups of both versions at once: runc does not")
    return ok(", ".join(working))


def seccomp_profile(host: HostView) -> Finding:
    """The profile that containers get by default."""
    found = [path for path in _PROFILES if host.exists(path)]
    return ok(found[0]) if found else missing("seccomp.json is not installed")


def skopeo(host: HostView) -> Finding:
    return _installed(host, "skopeo", "--version")


def conmon(host: HostView) -> Finding:
    return _installed(host, "conmon", "--version")


def buildah(host: HostView) -> Finding:
    return _installed(host, "buildah", "--version")


def nftables(host: HostView) -> Finding:
    found = _installed(host, "nft", "--version")
    if found.state != "ok" or not host.is_root:
        return found
    answer = host.run(host.program("nft") or "nft", "list", "tables")
    return found if answer.code == 0 else missing(f"nft cannot read the tables: {answer.text}")


def bubblewrap(host: HostView) -> Finding:
    """Makes a sandbox as Tidegate does, with the mounts that need the newest options."""
    program = host.program("bwrap")
    if program is None:
        return missing("bubblewrap is not installed")
    version = host.run(program, "--version")
    if version.code == 0 and _numbers(version.text) < _OLDEST_BUBBLEWRAP:
        return missing(f"{version.text} is older than 0.8")
    namespaces = ["--unshare-pid", "--unshare-ipc", "--unshare-uts", *([] if host.is_root else ["--unshare-user"])]
    mounts = ["--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "--size", "4096", "--tmpfs", "/tmp"]  # noqa: S108
    answer = host.run(program, *namespaces, *mounts, "--", "/usr/bin/env", "true")
    if answer.code != 0:
        return missing(f"bubblewrap cannot make a sandbox: {answer.text}")
    return ok(version.text)


def _installed(host: HostView, name: str, *arguments: str) -> Finding:
    program = host.program(name)
    if program is None:
        return missing(f"{name} is not installed")
    answer = host.run(program, *arguments)
    return ok(_named(name, answer.text)) if answer.code == 0 else warning(f"{name} fails: {answer.text}")


def _named(name: str, text: str) -> str:
    found = _VERSION.search(text)
    return f"{name} {found[0]}" if found else name


def _numbers(text: str) -> tuple[int, ...]:
    found = _VERSION.search(text)
    return tuple(int(part) for part in found[0].split(".") if part.isdecimal()) if found else ()
