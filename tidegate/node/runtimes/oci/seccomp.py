# SPDX-License-Identifier: Apache-2.0
"""The filter of system calls that every container has unless its spec says Unconfined: the host's default profile.

In: the profile that containers-common installs (also Podman's and CRI-O's), and the capabilities of a container. Out:
the `linux.seccomp` of a config.json. Called by: `security.py`.

The profile has conditions, which the OCI form has not: rules for some architectures, and for containers with or without
a capability. Rule: github.com/containers/common pkg/seccomp, setupSeccomp.
"""

import platform
import re
from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

PROFILES = (Path("/etc/containers/seccomp.json"), Path("/usr/share/containers/seccomp.json"))
"""The first that exists counts."""

_UNUSED = "SCMP_ARCH_X32"
"""Left out, so that its calls are not allowed: nothing uses it, and each architecture adds 10 ms to a creation."""

_MACHINES = {  # uname -m: the names in the profile
    "x86_64": ("amd64", "SCMP_ARCH_X86_64"),
    "aarch64": ("arm64", "SCMP_ARCH_AARCH64"),
    "armv7l": ("arm", "SCMP_ARCH_ARM"),
    "i686": ("x86", "SCMP_ARCH_X86"),
    "ppc64le": ("ppc64le", "SCMP_ARCH_PPC64LE"),
    "riscv64": ("riscv64", "SCMP_ARCH_RISCV64"),
    "s390x": ("s390x", "SCMP_ARCH_S390X"),
}


class _Condition(msgspec.Struct, rename="camel"):
    caps: list[str] = []
    arches: list[str] = []
    min_kernel: str = ""


class _Rule(msgspec.Struct, rename="camel"):
    action: str
    names: list[str] = []
    name: str = ""
    args: list[dict[str, Any]] | None = None
    includes: _Condition = msgspec.field(default_factory=_Condition)
    excludes: _Condition = msgspec.field(default_factory=_Condition)
    errno_ret: int | None = None


class _Architecture(msgspec.Struct, rename="camel"):
    architecture: str
    sub_architectures: list[str] = []


class SeccompProfile(msgspec.Struct, rename="camel"):
    """A profile file."""

    default_action: str
    default_errno_ret: int | None = None
    arch_map: list[_Architecture] = []
    syscalls: list[_Rule] = []


@cache
def default_profile() -> SeccompProfile | None:
    """The profile of this host; None if none is installed. Raises `msgspec.DecodeError`."""
    found = next((path for path in PROFILES if path.exists()), None)
    return msgspec.json.decode(found.read_bytes(), type=SeccompProfile) if found is not None else None


def seccomp(
    profile: SeccompProfile, capabilities: Collection[str], machine: str = "", kernel: str = ""
) -> Mapping[str, Any]:
    """The profile for a container with these capabilities. `machine`, `kernel`: by default this host's."""
    arch, native = _MACHINES.get(machine or platform.machine(), ("", ""))
    version = _version(kernel or platform.release())
    rules = [
        _translated(rule)
        for rule in profile.syscalls
        if _holds(rule.includes, capabilities, arch, version) and not _excluded(rule.excludes, capabilities, arch)
    ]
    architectures = [
        name
        for entry in profile.arch_map
        if entry.architecture == native
        for name in (native, *entry.sub_architectures)
        if name != _UNUSED
    ]
    return {
        "defaultAction": profile.default_action,
        **({} if profile.default_errno_ret is None else {"defaultErrnoRet": profile.default_errno_ret}),
        **({"architectures": architectures} if architectures else {}),
        "syscalls": rules,
    }


def _holds(includes: _Condition, capabilities: Collection[str], arch: str, kernel: tuple[int, ...]) -> bool:
    return (
        set(includes.caps) <= set(capabilities)
        and (not includes.arches or arch in includes.arches)
        and (not includes.min_kernel or kernel >= _version(includes.min_kernel))
    )


def _excluded(excludes: _Condition, capabilities: Collection[str], arch: str) -> bool:
    return bool(set(excludes.caps) & set(capabilities)) or arch in excludes.arches


def _translated(rule: _Rule) -> dict[str, Any]:
    return {
        "names": rule.names or [rule.name],
        "action": rule.action,
        **({} if rule.errno_ret is None else {"errnoRet": rule.errno_ret}),
        **({"args": rule.args} if rule.args else {}),
    }


def _version(text: str) -> tuple[int, ...]:
    """The two numbers at the start of a kernel's release."""
    return tuple(int(number) for number in re.findall(r"\d+", text)[:2])
