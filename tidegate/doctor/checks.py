# SPDX-License-Identifier: Apache-2.0
"""All checks of a host, in one table. docs/doctor.md has the same rows; tests/doctor compares them.

In: a `HostView`. Out: `CheckResult` for each check, with what to do on this distribution. Called by: `tidegate doctor`.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from tidegate.doctor import kernel, limits, tools
from tidegate.doctor.finding import Finding, HostView, State

INSTALL = {
    "debian": "apt install",
    "fedora": "dnf install",
    "arch": "pacman -S",
    "alpine": "apk add",
    "suse": "zypper install",
}
"""By the family of distributions, as ID and ID_LIKE of /etc/os-release name it."""

_FAMILIES = {"ubuntu": "debian", "rhel": "fedora", "centos": "fedora", "opensuse": "suse", "sles": "suse"}


@dataclass(frozen=True, slots=True)
class HostCheck:
    """`without`: what does not work if it is missing; `packages`: by family, "" for all others; `setting`: what to do
    other than to install a package; `is_base`: nothing works without it."""

    name: str
    look: Callable[[HostView], Finding]
    without: str
    packages: Mapping[str, str] = field(default_factory=dict)
    setting: str = ""
    is_base: bool = False


class CheckResult(NamedTuple):
    """`advice`: what to install or set; "" if the check is ok."""

    name: str
    state: State
    detail: str
    without: str
    advice: str
    is_base: bool


CHECKS = (
    HostCheck("kernel", kernel.version, "Tidegate does not run", setting="boot Linux 5.8 or later", is_base=True),
    HostCheck(
        "localhost",
        limits.local_names,
        "Tidegate does not run",
        setting="add 127.0.0.1 localhost to /etc/hosts",
        is_base=True,
    ),
    HostCheck("disk", limits.disk, "Tidegate rejects changes", setting="free room, or choose --data-dir", is_base=True),
    HostCheck(
        "ports",
        limits.ports,
        "tidegate up ends",
        setting="tidegate up --http-port 0 --https-port 0 --internal-port 0 --api-port 0",
    ),
    HostCheck(
        "service names",
        limits.service_names,
        "only curl and browsers reach services by name",
        {"": "libnss-myhostname", "fedora": "systemd-libs", "arch": "systemd-libs", "suse": "libnss_myhostname2"},
    ),
    HostCheck("bubblewrap", tools.bubblewrap, "apps that run as processes have no sandbox", {"": "bubblewrap"}),
    HostCheck(
        "user namespaces",
        kernel.user_namespaces,
        "no sandbox unless root runs Tidegate",
        setting="sysctl -w user.max_user_namespaces=10000 kernel.unprivileged_userns_clone=1; "
        "on Ubuntu also kernel.apparmor_restrict_unprivileged_userns=0",
    ),
    HostCheck(
        "capabilities",
        kernel.capabilities,
        "OCI containers, networks of Pods and users of namespaces",
        setting="start Tidegate as root; in Docker with --privileged",
    ),
    HostCheck("OCI runtime", tools.oci_runtime, "OCI images do not run", {"": "crun", "debian": "runc"}),
    HostCheck("conmon", tools.conmon, "OCI images do not run", {"": "conmon"}),
    HostCheck(
        "seccomp profile",
        tools.seccomp_profile,
        "OCI images do not run",
        {"": "containers-common", "debian": "golang-github-containers-common"},
    ),
    HostCheck("skopeo", tools.skopeo, "images are not pulled or loaded", {"": "skopeo"}),
    HostCheck("overlayfs", kernel.overlayfs, "OCI images do not run", setting="modprobe overlay"),
    HostCheck(
        "nftables", tools.nftables, "Pods have no network of their own, so that OCI images do not run", {"": "nftables"}
    ),
    HostCheck(
        "IP forwarding", kernel.ip_forward, "containers reach no other hosts", setting="sysctl -w net.ipv4.ip_forward=1"
    ),
    HostCheck(
        "control groups",
        kernel.control_groups,
        "limits on CPU, memory and processes are not enforced",
        setting="boot with systemd.unified_cgroup_hierarchy=1",
    ),
    HostCheck("buildah", tools.buildah, "no Dockerfile is built", {"": "buildah"}),
    HostCheck(
        "subordinate ids",
        kernel.subordinate_ids,
        "buildah builds only as root",
        setting="usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $USER",
    ),
    HostCheck(
        "name servers",
        limits.name_servers,
        "containers resolve no names of other hosts",
        setting="name a server in /etc/resolv.conf",
    ),
    HostCheck(
        "open files",
        limits.open_files,
        "fewer instances and connections",
        setting="ulimit -Hn 65536, or LimitNOFILE= of the service",
    ),
    HostCheck(
        "inotify",
        limits.inotify,
        "apps that watch files may not start",
        setting="sysctl -w fs.inotify.max_user_instances=512",
    ),
    HostCheck(
        "swap",
        limits.swap,
        "memory of instances on standby is not moved out",
        setting="add swap, or zram (zram-tools, zram-generator)",
    ),
)
"""The base first, then by the number of apps that a missing one concerns."""


def examine(host: HostView) -> Iterator[CheckResult]:
    """The results of all checks, each as soon as it is there."""
    family = family_of(host.text("/etc/os-release"))
    for check in CHECKS:
        found = check.look(host)
        advice = "" if found.state is State.OK else advice_for(check, family)
        yield CheckResult(check.name, found.state, found.detail, check.without, advice, check.is_base)


def works(results: list[CheckResult]) -> bool:
    """Whether Tidegate runs bundles and host programs here."""
    return not any(result.is_base and result.state is State.MISSING for result in results)


def advice_for(check: HostCheck, family: str) -> str:
    """What to install or set. On an unknown distribution: the package."""
    package = check.packages.get(family) or check.packages.get("", "")
    if not package:
        return check.setting
    return f"{INSTALL[family]} {package}" if family in INSTALL else f"install the package {package}"


def family_of(os_release: str) -> str:
    """The family of a distribution: the ID that `INSTALL` has, or one that it is like; "" for others."""
    values = dict(line.split("=", 1) for line in os_release.splitlines() if "=" in line)
    names = f"{values.get('ID', '')} {values.get('ID_LIKE', '')}".replace('"', "").split()
    known = (_FAMILIES.get(name.partition("-")[0], name) for name in names)
    return next((name for name in known if name in INSTALL), "")
