# SPDX-License-Identifier: Apache-2.0
"""The config-* ConfigMaps of the system namespace as records: what users tune while everything runs.

In: the maps' data by name. Out: `Configs`, immutable, or `errors.Invalid` that names the map, the key and the value.
Read through `client.configs.LiveConfigs`; admission refuses a map that does not parse here. One module a map; names,
defaults and ranges are those of Knative, but for config-gateway, which is Tidegate's.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tidegate.model.config import defaults, domain, values
from tidegate.model.config.autoscaler import Autoscaler
from tidegate.model.config.defaults import Defaults
from tidegate.model.config.deployment import Deployment
from tidegate.model.config.domain import Domain
from tidegate.model.config.features import Features, Flag
from tidegate.model.config.gateway import GatewayConfig
from tidegate.model.config.gc import GC
from tidegate.model.config.network import Network
from tidegate.model.config.observability import Observability

__all__ = [
    "GC",
    "Autoscaler",
    "Configs",
    "Defaults",
    "Deployment",
    "Domain",
    "Features",
    "Flag",
    "GatewayConfig",
    "Network",
    "Observability",
]

DEFAULT_DOMAIN = "localhost"


@dataclass(frozen=True, slots=True)
class Configs:
    """All of them; made without arguments it is what Knative has by default."""

    autoscaler: Autoscaler = field(default_factory=Autoscaler)
    defaults: Defaults = field(default_factory=Defaults)
    deployment: Deployment = field(default_factory=Deployment)
    domain: Domain = field(default_factory=lambda: Domain({DEFAULT_DOMAIN: {}}))
    features: Features = field(default_factory=Features)
    gateway: GatewayConfig = field(default_factory=GatewayConfig)
    gc: GC = field(default_factory=GC)
    network: Network = field(default_factory=Network)
    observability: Observability = field(default_factory=Observability)

    @classmethod
    def parse(cls, maps: Mapping[str, Mapping[str, str]], *, domain: str = DEFAULT_DOMAIN) -> "Configs":
        """The records of `maps` (data by ConfigMap name; others are ignored). `domain` is for Routes that config-domain
        has no place for."""
        return cls(
            autoscaler=values.read(Autoscaler, "config-autoscaler", maps.get("config-autoscaler", {})),
            defaults=values.read(Defaults, "config-defaults", defaults.completed(maps.get("config-defaults", {}))),
            deployment=values.read(Deployment, "config-deployment", maps.get("config-deployment", {})),
            domain=_read_domain(maps.get("config-domain", {}), domain),
            features=values.read(Features, "config-features", maps.get("config-features", {})),
            gateway=values.read(GatewayConfig, "config-gateway", maps.get("config-gateway", {})),
            gc=values.read(GC, "config-gc", maps.get("config-gc", {})),
            network=values.read(Network, "config-network", maps.get("config-network", {})),
            observability=values.read(Observability, "config-observability", maps.get("config-observability", {})),
        )


def _read_domain(data: Mapping[str, str], default: str) -> Domain:
    return domain.read("config-domain", data, default)
