# SPDX-License-Identifier: Apache-2.0
"""What a container's processes may do, by the security contexts of Pod and container. Pure.

In: a Pod and one of its containers. Out: a `Security`, or `LaunchRejected` with the field: every accepted field takes
effect. Called by: `runtime.py`. The user is in `identity.py`.

| field | effect |
| --- | --- |
| capabilities | added to and dropped from the default set of Docker and containerd |
| allowPrivilegeEscalation | false sets no_new_privs |
| readOnlyRootFilesystem | the root file system is read-only; volumes and /dev/shm stay as they are |
| seccompProfile | the host's default filter, also by default; Unconfined: none; Localhost: rejected |
| procMount | Unmasked leaves out the masks of /proc |
| sysctls | the safe ones of Kubernetes |
| appArmorProfile | only Unconfined |
| privileged, seLinuxOptions, windowsOptions | rejected |
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tidegate.model.objects import Object, spec
from tidegate.node.runtime import CONFIG_ERROR, LaunchRejected
from tidegate.node.runtimes.oci.capabilities import capabilities
from tidegate.node.runtimes.oci.identity import security_context
from tidegate.node.runtimes.oci.seccomp import SeccompProfile, seccomp

SAFE_SYSCTLS = frozenset(
    {
        *("kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.tcp_syncookies"),
        *("net.ipv4.ping_group_range", "net.ipv4.ip_unprivileged_port_start", "net.ipv4.ip_local_reserved_ports"),
        *("net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl"),
        *("net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"),
    }
)
"""Those that touch nothing outside of the Pod. Rule: pkg/kubelet/sysctl/safe_sysctls.go."""

_OWN_SYSCTLS = {"net.ipv4.ip_unprivileged_port_start": "0"}
"""An app that is not root may listen on port 80, as in Docker: the Pod has its address for itself."""

_HANDLED = frozenset(
    {
        *("runAsUser", "runAsGroup", "runAsNonRoot", "supplementalGroups", "supplementalGroupsPolicy", "fsGroup"),
        *("fsGroupChangePolicy", "capabilities", "readOnlyRootFilesystem", "allowPrivilegeEscalation"),
        *("seccompProfile", "procMount", "sysctls", "appArmorProfile", "privileged"),
    }
)


@dataclass(frozen=True, slots=True)
class Security:
    """`seccomp`: None for no filter."""

    capabilities: Sequence[str]
    no_new_privileges: bool
    seccomp: Mapping[str, Any] | None
    read_only_root: bool
    masked_proc: bool
    sysctls: Mapping[str, str]


def security(pod: Object, container: Object, profile: SeccompProfile, ours: Collection[str]) -> Security:
    """`profile`: the default filter; `ours`: Tidegate's own capabilities. Raises `LaunchRejected`."""
    context = security_context(pod, container)
    for field in context:
        if context[field] and field not in _HANDLED:
            raise _rejection(field, "this runtime does not support it")
    if context.get("privileged"):
        raise _rejection("privileged", "a container is not given the rights of this host")
    apparmor = (context.get("appArmorProfile") or {}).get("type") or "Unconfined"
    if apparmor != "Unconfined":
        raise _rejection("appArmorProfile.type", f"{apparmor} is not Unconfined; no AppArmor profile is applied")
    allowed = capabilities(context.get("capabilities") or {}, ours)
    return Security(
        capabilities=allowed,
        no_new_privileges=context.get("allowPrivilegeEscalation") is False,
        seccomp=seccomp(profile, allowed) if _is_filtered(context) else None,
        read_only_root=bool(context.get("readOnlyRootFilesystem")),
        masked_proc=_is_masked(context),
        sysctls={**_OWN_SYSCTLS, **_sysctls(spec(pod).get("securityContext") or {})},
    )


def _is_filtered(context: Object) -> bool:
    kind = (context.get("seccompProfile") or {}).get("type") or "RuntimeDefault"
    if kind not in ("RuntimeDefault", "Unconfined"):
        raise _rejection("seccompProfile.type", f"{kind} is not RuntimeDefault or Unconfined")
    return bool(kind == "RuntimeDefault")


def _is_masked(context: Object) -> bool:
    kind = context.get("procMount") or "Default"
    if kind not in ("Default", "Unmasked"):
        raise _rejection("procMount", f"{kind} is not Default or Unmasked")
    return bool(kind == "Default")


def _sysctls(context: Object) -> dict[str, str]:
    wanted = {str(each.get("name", "")): str(each.get("value", "")) for each in context.get("sysctls") or ()}
    if unsafe := sorted(wanted.keys() - SAFE_SYSCTLS):
        raise _rejection("sysctls", f"{unsafe[0]} is not allowed: it may touch other Pods")
    return wanted


def _rejection(field: str, why: str) -> LaunchRejected:
    return LaunchRejected(CONFIG_ERROR, f"securityContext.{field}: {why}")
