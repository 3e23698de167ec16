# SPDX-License-Identifier: Apache-2.0
"""The names of this cluster: which a Pod may look up, and which exist.

In: Ingresses, from an informer, and the subnet of Pods. Out: whether a name is ours, and what it is. Called by:
`server.py`. Rule: github.com/kubernetes/dns, docs/specification.md.

| name | kind |
| --- | --- |
| a local host of an Ingress: `NAME.NAMESPACE.svc.cluster.local`, also of a tag | HOST: this host's address for Pods |
| `cluster.local`, `svc.cluster.local`, `NAMESPACE.svc.cluster.local` with a host below it | PARENT: no address |
| any other below `cluster.local`; the reverse name of an address of the Pods' subnet | UNKNOWN |
| any other | FOREIGN: the host's name servers know it |
"""

from enum import Enum, auto
from ipaddress import IPv4Address, IPv4Network

from tidegate.client.informer import Informer
from tidegate.model.names import LOCAL_DOMAIN
from tidegate.routing.ingress import is_ours

CLUSTER_DOMAIN = LOCAL_DOMAIN.partition(".")[2]
_REVERSE = ".in-addr.arpa"


class NameKind(Enum):
    HOST = auto()
    PARENT = auto()
    UNKNOWN = auto()
    FOREIGN = auto()


class ClusterNames:
    """The names that Pods of this subnet look up."""

    def __init__(self, ingresses: Informer, subnet: IPv4Network) -> None:
        self._ingresses = ingresses
        self._subnet = subnet

    def kind(self, name: str) -> NameKind:
        """The kind of a name, in lower case and without a final dot."""
        if name.endswith(_REVERSE):
            return NameKind.UNKNOWN if self._is_of_pod(name) else NameKind.FOREIGN
        if name in (CLUSTER_DOMAIN, LOCAL_DOMAIN):
            return NameKind.PARENT
        if not name.endswith(f".{CLUSTER_DOMAIN}"):
            return NameKind.FOREIGN
        if any(map(is_ours, self._ingresses.indexed("host", name))):
            return NameKind.HOST
        namespace = name.removesuffix(f".{LOCAL_DOMAIN}")
        return NameKind.PARENT if self._ingresses.has("namespace", namespace) else NameKind.UNKNOWN

    async def synced(self) -> None:
        """Return once all names are known."""
        await self._ingresses.synced()

    def _is_of_pod(self, name: str) -> bool:
        """Whether this is the reverse name of an address of the subnet."""
        try:
            return IPv4Address(".".join(reversed(name.removesuffix(_REVERSE).split(".")))) in self._subnet
        except ValueError:
            return False
