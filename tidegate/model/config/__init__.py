# SPDX-License-Identifier: Apache-2.0
"""The config-* ConfigMaps of the system namespace as records: settings that users change at runtime.

In: the maps' data by name. Out: `Configs`, immutable, or `errors.Invalid`, which names the map, the key and the value.
Called by: `client.configs.LiveConfigs`, and admission, which rejects a map that does not parse. One module a map.
Names, defaults and ranges are Knative's, except for config-gateway and config-images, which are Tidegate's own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tidegate.model.config import defaults, domain, values
from tidegate.model.config.autoscaler import AutoscalerConfig
from tidegate.model.config.defaults import DefaultsConfig
from tidegate.model.config.deployment import DeploymentConfig
from tidegate.model.config.domain import DomainConfig
from tidegate.model.config.features import FeaturesConfig, Flag
from tidegate.model.config.gateway import GatewayConfig
from tidegate.model.config.gc import GCConfig
from tidegate.model.config.images import ImagesConfig
from tidegate.model.config.network import NetworkConfig
from tidegate.model.config.observability import ObservabilityConfig

__all__ = [
    "AutoscalerConfig",
    "Configs",
    "DefaultsConfig",
    "DeploymentConfig",
    "DomainConfig",
    "FeaturesConfig",
    "Flag",
    "GCConfig",
    "GatewayConfig",
    "ImagesConfig",
    "NetworkConfig",
    "ObservabilityConfig",
]

DEFAULT_DOMAIN = "localhost"


@dataclass(frozen=True, slots=True)
class Configs:
    """The records of all maps. Without arguments it has Knative's defaults."""

    autoscaler: AutoscalerConfig = field(default_factory=AutoscalerConfig)
    defaults: DefaultsConfig = field(default_factory=DefaultsConfig)
    deployment: DeploymentConfig = field(default_factory=DeploymentConfig)
    domain: DomainConfig = field(default_factory=lambda: DomainConfig({DEFAULT_DOMAIN: {}}))
    features: FeaturesConfig = field(default_factory=FeaturesConfig)
    gateway: GatewayConfig = field(default_factory=GatewayConfig)
    gc: GCConfig = field(default_factory=GCConfig)
    images: ImagesConfig = field(default_factory=ImagesConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    observability: ObservabilityConfig = field(default_factory=ObservabilityConfig)

    @classmethod
    def parse(cls, maps: Mapping[str, Mapping[str, str]], *, domain: str = DEFAULT_DOMAIN) -> "Configs":
        """Parse `maps` (data by ConfigMap name; unknown names are ignored). `domain`: the domain of Routes that no
        entry of config-domain selects."""
        return cls(
            autoscaler=values.read(AutoscalerConfig, "config-autoscaler", maps.get("config-autoscaler", {})),
            defaults=values.read(
                DefaultsConfig, "config-defaults", defaults.completed(maps.get("config-defaults", {}))
            ),
            deployment=values.read(DeploymentConfig, "config-deployment", maps.get("config-deployment", {})),
            domain=_read_domain(maps.get("config-domain", {}), domain),
            features=values.read(FeaturesConfig, "config-features", maps.get("config-features", {})),
            gateway=values.read(GatewayConfig, "config-gateway", maps.get("config-gateway", {})),
            gc=values.read(GCConfig, "config-gc", maps.get("config-gc", {})),
            images=values.read(ImagesConfig, "config-images", maps.get("config-images", {})),
            network=values.read(NetworkConfig, "config-network", maps.get("config-network", {})),
            observability=values.read(
                ObservabilityConfig, "config-observability", maps.get("config-observability", {})
            ),
        )


def _read_domain(data: Mapping[str, str], default: str) -> DomainConfig:
    return domain.read("config-domain", data, default)
