# SPDX-License-Identifier: Apache-2.0
"""The shared informers: one for each kind in the scheme that has a cache.

In: a `Cluster` and a scheme. Out: the informers that the composition hands to the parts, so that all of them read the
same copy. Called by: `embedded.py` (builds and runs them) and each part (reads them, through its `Context`).
"""

from collections.abc import Iterator

from tidegate.client.cluster import Cluster
from tidegate.client.informer import Informer
from tidegate.kit.clock import Clock
from tidegate.model import kinds, pods
from tidegate.model.groups import BUILT_IN_SCHEME
from tidegate.model.kinds import Kind
from tidegate.model.objects import Key, Object
from tidegate.model.scheme import Scheme


class Informers:
    """The live copies of all kinds that parts read. The kinds that Tidegate's own parts read have an attribute."""

    def __init__(self, cluster: Cluster, clock: Clock | None = None, scheme: Scheme = BUILT_IN_SCHEME) -> None:
        self._by_kind = {
            resource.kind: Informer(
                cluster,
                resource.kind,
                namespace=resource.cache.namespace,
                indexes=resource.cache.indexes,
                clock=clock,
            )
            for resource in scheme
            if resource.cache is not None
        }
        self.services = self.of(kinds.SERVICE)
        self.configurations = self.of(kinds.CONFIGURATION)
        self.revisions = self.of(kinds.REVISION)
        self.routes = self.of(kinds.ROUTE)
        self.pod_autoscalers = self.of(kinds.POD_AUTOSCALER)
        self.ingresses = self.of(kinds.INGRESS)
        self.pods = self.of(kinds.POD)
        self.nodes = self.of(kinds.NODE)
        self.config_maps = self.of(kinds.CONFIG_MAP)
        self.secrets = self.of(kinds.SECRET)
        self.resource_quotas = self.of(kinds.RESOURCE_QUOTA)
        self.persistent_volume_claims = self.of(kinds.PERSISTENT_VOLUME_CLAIM)
        self.persistent_volumes = self.of(kinds.PERSISTENT_VOLUME)
        self.storage_classes = self.of(kinds.STORAGE_CLASS)

    def of(self, kind: Kind) -> Informer:
        """The informer of a kind; KeyError if the kind has no cache."""
        return self._by_kind[kind]

    def __iter__(self) -> Iterator[Informer]:
        """All informers; each must be run."""
        return iter(self._by_kind.values())

    async def synced(self) -> None:
        """Return once the first list of every informer has arrived."""
        for informer in self:
            await informer.synced()


def ready_pods(informer: Informer, revision: Key) -> list[Object]:
    """The ready Pods of a revision, from the informer of Pods."""
    return [pod for pod in informer.indexed("revision", str(revision)) if pods.is_ready(pod)]
