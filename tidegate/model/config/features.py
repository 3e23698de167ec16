# SPDX-License-Identifier: Apache-2.0
"""config-features: optional features that revisions may use."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

from tidegate.model.config import values
from tidegate.model.config.values import Problem


class Flag(Enum):
    """`ALLOWED`: may be used, but gets no defaults. `ALLOW_ROOT_BOUNDED` is for secure-pod-defaults only."""

    DISABLED = "Disabled"
    ALLOWED = "Allowed"
    ENABLED = "Enabled"
    ALLOW_ROOT_BOUNDED = "AllowRootBounded"

    def __bool__(self) -> bool:
        return self is not Flag.DISABLED


_USUAL = (Flag.ENABLED, Flag.ALLOWED, Flag.DISABLED)
_SECURE = (Flag.DISABLED, Flag.ALLOW_ROOT_BOUNDED, Flag.ENABLED)


def _flag(key: str = "", default: Flag = Flag.DISABLED, choices: tuple[Flag, ...] = _USUAL) -> Any:
    def read(text: str) -> Flag:
        for choice in choices:
            if text.lower() == choice.value.lower():
                return choice
        raise ValueError(f"must be one of {', '.join(choice.value for choice in choices)}")

    return values.setting(default, read, key)


@dataclass(frozen=True, slots=True)
class FeaturesConfig:
    """The key of a field is its name with dashes, unless another key is given."""

    multi_container: Flag = _flag(default=Flag.ENABLED)
    multi_container_probing: Flag = _flag()
    tag_header_based_routing: Flag = _flag()
    autodetect_http2: Flag = _flag()
    secure_pod_defaults: Flag = _flag(choices=_SECURE)
    queueproxy_mount_podinfo: Flag = _flag("queueproxy.mount-podinfo")
    queueproxy_resource_defaults: Flag = _flag("queueproxy.resource-defaults")
    containerspec_addcapabilities: Flag = _flag("kubernetes.containerspec-addcapabilities")
    podspec_affinity: Flag = _flag("kubernetes.podspec-affinity")
    podspec_dnsconfig: Flag = _flag("kubernetes.podspec-dnsconfig")
    podspec_dnspolicy: Flag = _flag("kubernetes.podspec-dnspolicy")
    podspec_fieldref: Flag = _flag("kubernetes.podspec-fieldref")
    podspec_hostaliases: Flag = _flag("kubernetes.podspec-hostaliases")
    podspec_hostipc: Flag = _flag("kubernetes.podspec-hostipc")
    podspec_hostnetwork: Flag = _flag("kubernetes.podspec-hostnetwork")
    podspec_hostpid: Flag = _flag("kubernetes.podspec-hostpid")
    podspec_init_containers: Flag = _flag("kubernetes.podspec-init-containers")
    podspec_nodeselector: Flag = _flag("kubernetes.podspec-nodeselector")
    podspec_persistent_volume_claim: Flag = _flag("kubernetes.podspec-persistent-volume-claim")
    podspec_persistent_volume_write: Flag = _flag("kubernetes.podspec-persistent-volume-write")
    podspec_priorityclassname: Flag = _flag("kubernetes.podspec-priorityclassname")
    podspec_runtimeclassname: Flag = _flag("kubernetes.podspec-runtimeclassname")
    podspec_schedulername: Flag = _flag("kubernetes.podspec-schedulername")
    podspec_securitycontext: Flag = _flag("kubernetes.podspec-securitycontext")
    podspec_shareprocessnamespace: Flag = _flag("kubernetes.podspec-shareprocessnamespace")
    podspec_tolerations: Flag = _flag("kubernetes.podspec-tolerations")
    podspec_topologyspreadconstraints: Flag = _flag("kubernetes.podspec-topologyspreadconstraints")
    podspec_volumes_csi: Flag = _flag("kubernetes.podspec-volumes-csi")
    podspec_volumes_emptydir: Flag = _flag("kubernetes.podspec-volumes-emptydir", Flag.ENABLED)
    podspec_volumes_ephemeral: Flag = _flag("kubernetes.podspec-volumes-ephemeral")
    podspec_volumes_hostpath: Flag = _flag("kubernetes.podspec-volumes-hostpath")
    podspec_volumes_image: Flag = _flag("kubernetes.podspec-volumes-image")
    podspec_volumes_mount_propagation: Flag = _flag("kubernetes.podspec-volumes-mount-propagation")

    def problems(self) -> Iterator[Problem]:
        yield from ()
