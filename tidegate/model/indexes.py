# SPDX-License-Identifier: Apache-2.0
"""The indexes that informers keep of a kind: functions from an object to the values under which it is found. Pure.

An index that refers to other objects writes them as `str(Key)`; a reader asks the index with the key of the object that
it knows. Called by: informers, through `Resource.cache`.
"""

from collections.abc import Callable, Iterable

from tidegate.model import mirroring, names
from tidegate.model.objects import Key, Object, labels, listed, spec

Index = Callable[[Object], Iterable[str]]
"""The values under which an object is found in an index."""


def by_label(label: str) -> Index:
    """The object that a label names, in the object's own namespace."""

    def values(obj: Object) -> Iterable[str]:
        name = labels(obj).get(label)
        return () if not name else (str(Key(obj["metadata"].get("namespace", ""), name)),)

    return values


def namespace(obj: Object) -> Iterable[str]:
    """The object's own namespace."""
    return (obj["metadata"].get("namespace", ""),)


def named_revision(configuration: Object) -> Iterable[str]:
    """The Revision whose name the author of a Configuration's template has chosen."""
    name = (spec(configuration).get("template") or {}).get("metadata", {}).get("name")
    return () if not name else (str(Key(configuration["metadata"]["namespace"], name)),)


def routes(obj: Object) -> Iterable[str]:
    """The Routes that the labeler has written on a Configuration or Revision."""
    return (str(Key(obj["metadata"]["namespace"], name)) for name in listed(obj, names.ROUTES))


def targets(route: Object) -> Iterable[str]:
    """The targets of a Route's traffic and mirrors: "configuration/NAMESPACE/NAME" and "revision/NAMESPACE/NAME"."""
    namespace = route["metadata"]["namespace"]
    fields: tuple[tuple[str, str], ...] = (("configurationName", "configuration"), ("revisionName", "revision"))
    for target in spec(route).get("traffic") or ():
        yield from (f"{kind}/{namespace}/{target[field]}" for field, kind in fields if target.get(field))
    yield from (f"revision/{namespace}/{name}" for name, _ in mirroring.mirrors(route))


def revisions(ingress: Object) -> Iterable[str]:
    """The revisions to which an Ingress sends traffic or copies of it."""
    namespace = ingress["metadata"].get("namespace", "")
    yield from (str(Key(namespace, name)) for name, _ in mirroring.mirrors(ingress))
    for rule in spec(ingress).get("rules") or ():
        for path in (rule.get("http") or {}).get("paths") or ():
            for split in path.get("splits") or ():
                yield str(Key(split.get("serviceNamespace", ""), split.get("serviceName", "")))


def hosts(ingress: Object) -> Iterable[str]:
    """The hosts of an Ingress."""
    return (host.lower() for rule in spec(ingress).get("rules") or () for host in rule.get("hosts") or ())


def secrets(ingress: Object) -> Iterable[str]:
    """The Secrets with the certificates of an Ingress."""
    for entry in spec(ingress).get("tls") or ():
        yield str(Key(entry.get("secretNamespace", ""), entry.get("secretName", "")))


def claim_names(pod: Object) -> Iterable[str]:
    """The names of the persistent volume claims of a Pod."""
    claims = [volume.get("persistentVolumeClaim") for volume in spec(pod).get("volumes") or ()]
    return dict.fromkeys(str(claim.get("claimName") or "") for claim in claims if claim)


def claims(pod: Object) -> Iterable[str]:
    """The persistent volume claims of a Pod."""
    namespace = pod["metadata"].get("namespace", "")
    return (str(Key(namespace, name)) for name in claim_names(pod))


def claim_of_volume(volume: Object) -> Iterable[str]:
    """The claim that a volume was made for."""
    reference = spec(volume).get("claimRef") or {}
    return (str(Key(str(reference.get("namespace")), str(reference.get("name")))),) if reference else ()
