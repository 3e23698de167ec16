# SPDX-License-Identifier: Apache-2.0
"""The settings of one Tidegate: read once by `tidegate up`, handed out in pieces by `embedded.py`.

What users tune while it runs is in the config-* ConfigMaps (`model.config`), as in Knative; here is what a start fixes.
"""

import os
from dataclasses import dataclass
from pathlib import Path


def default_home() -> Path:
    """The state folder when none is named: $TIDEGATE_HOME, else ~/.tidegate."""
    return Path(os.environ.get("TIDEGATE_HOME") or Path.home() / ".tidegate")


@dataclass(frozen=True, slots=True)
class Settings:
    """Where state lives, which ports are asked for (0: any free one), how many Envoys serve them, and, where root runs
    it, which users apps run as (`app_users`: None for the usual range) and whether they may be root."""

    home: Path
    http_port: int = 8080
    https_port: int = 8443
    internal_port: int = 8081
    api_port: int = 6443
    domain: str = "localhost"
    gateways: int = 1
    app_users: range | None = None
    allow_root_apps: bool = False

    @property
    def database(self) -> Path:
        return self.home / "state.db"

    @property
    def kubeconfig(self) -> Path:
        return self.home / "kubeconfig"

    @property
    def log(self) -> Path:
        """What a Tidegate in the background writes."""
        return self.home / "tidegate.log"

    @property
    def node(self) -> Path:
        """The name of the Node that stands for this host."""
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
    def instances(self) -> Path:
        """One folder a Pod: its logs and what is needed to adopt it again."""
        return self.home / "instances"

    @property
    def ended_logs(self) -> Path:
        """One folder for each Pod that is gone and whose logs are kept."""
        return self.home / "logs"

    @property
    def users(self) -> Path:
        """Which user is which namespace's."""
        return self.home / "users.json"

    @property
    def autoscalers(self) -> Path:
        """One folder an autoscaling class that learns: what it knows."""
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
    def record(self) -> Path:
        """What a running Tidegate tells of itself."""
        return self.sockets / "tidegate.json"

    @property
    def xds_socket(self) -> Path:
        return self.sockets / "xds.sock"

    @property
    def gate_socket(self) -> Path:
        return self.sockets / "gate.sock"

    @property
    def admin_sockets(self) -> tuple[Path, ...]:
        """Of each gateway: admin.sock, admin-2.sock, ..."""
        others = (self.sockets / f"admin-{number}.sock" for number in range(2, self.gateways + 1))
        return self.sockets / "admin.sock", *others

    @property
    def trusted(self) -> tuple[Path, ...]:
        """What there is in the state folder that is believed: a token, who runs, what to end."""
        return tuple(
            place for folder in (self.home, self.pki, self.gateway, self.sockets) for place in folder.glob("*")
        )

    @property
    def is_local(self) -> bool:
        """Whether its hosts are names of this machine alone: then nothing listens for others."""
        return self.domain == "localhost" or self.domain.endswith(".localhost")
