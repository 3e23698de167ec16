# SPDX-License-Identifier: Apache-2.0
"""The kinds in an aggregated discovery document. Pure. In: an APIGroupDiscoveryList. Out: kinds. Called by: `http`."""

from collections.abc import Iterator

from tidegate.model.kinds import Kind
from tidegate.model.objects import Object

ACCEPT = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


def kinds_of(document: Object) -> Iterator[Kind]:
    """The kinds that can be listed, each in the preferred version of its group."""
    for group in document.get("items") or ():
        for version in group["versions"][:1]:
            for resource in version["resources"]:
                if "list" in resource["verbs"]:
                    yield _kind(group["metadata"].get("name", ""), version["version"], resource)


def _kind(group: str, version: str, resource: Object) -> Kind:
    subresources = {entry["subresource"] for entry in resource.get("subresources") or ()}
    return Kind(
        group,
        version,
        resource["responseKind"]["kind"],
        resource["resource"],
        tuple(resource.get("shortNames") or ()),
        tuple(resource.get("categories") or ()),
        namespaced=resource["scope"] == "Namespaced",
        status="status" in subresources,
    )
