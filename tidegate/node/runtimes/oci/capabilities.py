# SPDX-License-Identifier: Apache-2.0
"""The capabilities of a container's processes. Pure.

In: `securityContext.capabilities`, and the capabilities that Tidegate itself may have. Out: names in the form of the
OCI specification, e.g. CAP_KILL; or `LaunchRejected` with the field. Called by: `security.py`.

Rule: containerd pkg/cri/sbserver/container_create_linux.go, and the default set of Docker and containerd. `ALL` counts
before every other name.
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from tidegate.model.objects import Object
from tidegate.node.runtime import CONFIG_ERROR, LaunchRejected

_BY_NUMBER = (
    *("CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP"),
    *("LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER"),
    *("SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE"),
    *("SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP"),
    *("MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF"),
    "CHECKPOINT_RESTORE",
)
"""linux/capability.h"""

_DEFAULT = frozenset(
    {"AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "NET_RAW"}
    | {"SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"}
)
_ALL = "ALL"


def capabilities(wanted: Object, ours: Collection[str]) -> Sequence[str]:
    """The capabilities that the processes may have. `ours`: the names of Tidegate's own. Raises
    `LaunchRejected`."""
    added, dropped = _names("add", wanted), _names("drop", wanted)
    if missing := sorted(added - {_ALL} - set(ours)):
        raise _rejection("add", f"Tidegate itself does not have {missing[0]}")
    base = frozenset(ours) if _ALL in added else _DEFAULT & frozenset(ours)
    if _ALL in dropped:
        base = frozenset()
    result = (base | added) - dropped - {_ALL}
    return [f"CAP_{name}" for name in _BY_NUMBER if name in result]


def own_capabilities(status: Path = Path("/proc/self/status")) -> frozenset[str]:
    """The names of the capabilities that this process can hand on."""
    fields: Mapping[str, str] = dict(line.split(":\t", 1) for line in status.read_text().splitlines() if ":\t" in line)
    mask = int(fields["CapPrm"], 16) & int(fields["CapBnd"], 16)
    return frozenset(name for number, name in enumerate(_BY_NUMBER) if mask >> number & 1)


def _names(field: str, wanted: Object) -> frozenset[str]:
    names = frozenset(str(name).upper().removeprefix("CAP_") for name in wanted.get(field) or ())
    if unknown := sorted(names - {_ALL, *_BY_NUMBER}):
        raise _rejection(field, f"there is no capability {unknown[0]!r}")
    return names


def _rejection(field: str, why: str) -> LaunchRejected:
    return LaunchRejected(CONFIG_ERROR, f"securityContext.capabilities.{field}: {why}")
