# SPDX-License-Identifier: Apache-2.0
"""One informer a kind, with every index that any part looks things up by.

In: a `Cluster`. Out: the informers that `embedded.py` hands to the parts, so that all share one cache. Values of
indexes are written as `str(Key)`, so that an index is asked with the key of what is looked for.
"""

from collections.abc import Iterable, Iterator

from tidegate.client.cluster import Cluster
from tidegate.client.informer import Index, Informer
from tidegate.kit.clock import Clock
from tidegate.model import kinds, mirroring, names, pods
from tidegate.model.kinds import Kind
from tidegate.model.objects import Key, Object, labels, listed, spec


class Informers:
    """The live copies of all kinds that the parts read."""

    def __init__(self, cluster: Cluster, clock: Clock | None = None) -> None:
        def informer(kind: Kind, *, namespace: str = "", **indexes: Index) -> Informer:
            return Informer(cluster, kind, namespace=namespace, indexes=indexes, clock=clock)

        self.services = informer(kinds.SERVICE)
        self.configurations = informer(kinds.CONFIGURATION, revision=_named_revision, route=_routes)
        self.revisions = informer(kinds.REVISION, configuration=by_label(names.CONFIGURATION), route=_routes)
        self.routes = informer(kinds.ROUTE, target=_targets)
        self.pod_autoscalers = informer(kinds.POD_AUTOSCALER)
        self.ingresses = informer(kinds.INGRESS, revision=_revisions, secret=_secrets)
        self.pods = informer(kinds.POD, revision=by_label(names.REVISION))
        self.config_maps = informer(kinds.CONFIG_MAP, namespace=names.SYSTEM_NAMESPACE)
        self.secrets = informer(kinds.SECRET)
        self.resource_quotas = informer(kinds.RESOURCE_QUOTA)

    def __iter__(self) -> Iterator[Informer]:
        """All of them, to run each."""
        return iter(vars(self).values())

    async def synced(self) -> None:
        """Return once every first list is in."""
        for informer in self:
            await informer.synced()


def ready_pods(informer: Informer, revision: Key) -> list[Object]:
    """The ready Pods of a revision, from the informer of Pods."""
    return [pod for pod in informer.indexed("revision", str(revision)) if pods.is_ready(pod)]


def by_label(label: str) -> Index:
    """An index of what a label names, in the object's own namespace."""

    def values(obj: Object) -> Iterable[str]:
        name = labels(obj).get(label)
        return () if not name else (str(Key(obj["metadata"].get("namespace", ""), name)),)

    return values


def _named_revision(configuration: Object) -> Iterable[str]:
    """The Revision that a Configuration's template gives a name of its own."""
    name = (spec(configuration).get("template") or {}).get("metadata", {}).get("name")
    return () if not name else (str(Key(configuration["metadata"]["namespace"], name)),)


def _routes(obj: Object) -> Iterable[str]:
    """The Routes that the labeler has named on a Configuration or Revision."""
    return (str(Key(obj["metadata"]["namespace"], name)) for name in listed(obj, names.ROUTES))


def _targets(route: Object) -> Iterable[str]:
    """What a Route sends traffic or copies of it to: "configuration/NAMESPACE/NAME" and "revision/NAMESPACE/NAME"."""
    namespace = route["metadata"]["namespace"]
    fields: tuple[tuple[str, str], ...] = (("configurationName", "configuration"), ("revisionName", "revision"))
    for target in spec(route).get("traffic") or ():
        yield from (f"{kind}/{namespace}/{target[field]}" for field, kind in fields if target.get(field))
    yield from (f"revision/{namespace}/{name}" for name, _ in mirroring.mirrors(route))


def _revisions(ingress: Object) -> Iterable[str]:
    """The revisions that an Ingress splits traffic over, and those that get copies of it."""
    namespace = ingress["metadata"].get("namespace", "")
    yield from (str(Key(namespace, name)) for name, _ in mirroring.mirrors(ingress))
    for rule in spec(ingress).get("rules") or ():
        for path in (rule.get("http") or {}).get("paths") or ():
            for split in path.get("splits") or ():
                yield str(Key(split.get("serviceNamespace", ""), split.get("serviceName", "")))


def _secrets(ingress: Object) -> Iterable[str]:
    """The Secrets whose certificates an Ingress shows."""
    for entry in spec(ingress).get("tls") or ():
        yield str(Key(entry.get("secretNamespace", ""), entry.get("secretName", "")))
