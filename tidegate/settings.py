# SPDX-License-Identifier: Apache-2.0
"""The settings of one start of Tidegate. Built by `tidegate up`; read by the parts.

These settings are fixed while Tidegate runs. The ones that users change at run time are in the config-* ConfigMaps
(`model.config`), as in Knative.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ipaddress import IPv4Network  # most commands do not need it


def default_home() -> Path:
    """The default state folder: $TIDEGATE_HOME, else ~/.tidegate."""
    return Path(os.environ.get("TIDEGATE_HOME") or Path.home() / ".tidegate")


@dataclass(frozen=True, slots=True)
class Settings:
    """`home`: the state folder. Ports: 0 takes a free one. `gateways`: the number of Envoys. `app_users`: the user IDs
    of apps if root runs Tidegate (None: the default range). `allow_root_apps`: whether apps may then run as root.
    `oci_runtime`: the program that makes containers (None: crun or runc). `pod_cidr`: the subnet of Pods (None: a free
    one). `pod_metadata`: whether Pods reach link-local addresses. `sandbox`: whether apps that run as processes have a
    sandbox: "auto", "required" or "none"."""

    home: Path
    http_port: int = 8080
    https_port: int = 8443
    internal_port: int = 8081
    api_port: int = 6443
    domain: str = "localhost"
    gateways: int = 1
    app_users: range | None = None
    allow_root_apps: bool = False
    oci_runtime: Path | None = None
    pod_cidr: "IPv4Network | None" = None
    pod_metadata: bool = False
    sandbox: str = "auto"

    @property
    def database(self) -> Path:
        return self.home / "state.db"

    @property
    def kubeconfig(self) -> Path:
        return self.home / "kubeconfig"

    @property
    def log(self) -> Path:
        """The log of a Tidegate in the background."""
        return self.home / "tidegate.log"

    @property
    def node(self) -> Path:
        """The name of the Node object of this host."""
        return self.home / "node"

    @property
    def choices(self) -> Path:
        """The ports, the domain and the number of gateways of the last start."""
        return self.home / "settings.json"

    @property
    def lock(self) -> Path:
        """Held by the control plane while it runs."""
        return self.sockets / "lock"

    @property
    def bundles(self) -> Path:
        return self.home / "bundles"

    @property
    def images(self) -> Path:
        """The store of OCI images (`images.store`), and temporary files of pulls."""
        return self.home / "images"

    @property
    def instances(self) -> Path:
        """One folder for each Pod: its logs, and the records to adopt its processes after a restart."""
        return self.home / "instances"

    @property
    def ended_logs(self) -> Path:
        """One folder for each deleted Pod whose logs are kept."""
        return self.home / "logs"

    @property
    def containers(self) -> Path:
        """The containers of Pods that run OCI images, and the state of the OCI runtime."""
        return self.home / "oci"

    @property
    def volumes(self) -> Path:
        """The volumes of Pods, and the folders of persistent volume claims."""
        return self.home / "volumes"

    @property
    def sandbox_etc(self) -> Path:
        """The folder that sandboxed apps see as /etc."""
        return self.home / "sandbox" / "etc"

    @property
    def users(self) -> Path:
        """The user ID of each namespace."""
        return self.home / "users.json"

    @property
    def autoscalers(self) -> Path:
        """One folder for each autoscaling class that learns."""
        return self.home / "autoscalers"

    @property
    def gateway(self) -> Path:
        """Envoy's bootstrap, log and process record."""
        return self.home / "gateway"

    @property
    def pki(self) -> Path:
        return self.home / "pki"

    @property
    def sockets(self) -> Path:
        """Unix sockets (xDS, gate, admin) and the record of the running process."""
        return self.home / "run"

    @property
    def network(self) -> Path:
        """The subnet of Pods."""
        return self.home / "network.json"

    @property
    def pod_namespaces(self) -> Path:
        """The network namespaces of Pods, each mounted on a file."""
        return self.sockets / "netns"

    @property
    def record(self) -> Path:
        """The record of the running Tidegate (`runfile`)."""
        return self.sockets / "tidegate.json"

    @property
    def xds_socket(self) -> Path:
        return self.sockets / "xds.sock"

    @property
    def gate_socket(self) -> Path:
        return self.sockets / "gate.sock"

    @property
    def admin_sockets(self) -> tuple[Path, ...]:
        """One for each gateway: admin.sock, admin-2.sock, ..."""
        others = (self.sockets / f"admin-{number}.sock" for number in range(2, self.gateways + 1))
        return self.sockets / "admin.sock", *others

    @property
    def trusted(self) -> tuple[Path, ...]:
        """The files whose content Tidegate trusts, e.g. the token and the records of processes."""
        return tuple(
            place for folder in (self.home, self.pki, self.gateway, self.sockets) for place in folder.glob("*")
        )

    @property
    def is_local(self) -> bool:
        """Whether the domain names this machine only. The gateway then listens on loopback addresses only."""
        return self.domain == "localhost" or self.domain.endswith(".localhost")
