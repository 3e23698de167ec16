# SPDX-License-Identifier: Apache-2.0
"""What this server serves, told to clients: groups, versions and resources, made from `model.kinds`. Pure.

Aggregated (one document for all groups, apidiscovery.k8s.io) and plain (a document a group and version).
"""

from collections.abc import Iterable
from functools import cache
from itertools import groupby

from tidegate.model import kinds
from tidegate.model.kinds import POD, SERVICE, Kind
from tidegate.model.objects import Object

VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
_STATUS_VERBS = ("get", "patch", "update")

REVIEWS = (
    Kind("authorization.k8s.io", "v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews", namespaced=False),
    Kind("authorization.k8s.io", "v1", "SelfSubjectRulesReview", "selfsubjectrulesreviews", namespaced=False),
    Kind("authentication.k8s.io", "v1", "SelfSubjectReview", "selfsubjectreviews", namespaced=False),
)
"""Kinds that can only be created, and are answered at once: see `reviews.py`."""


def group_versions() -> list[tuple[str, str]]:
    """Every (group, version), core first, then as `model.kinds` has them."""
    return list(dict.fromkeys((kind.group, kind.version) for kind in (*_core(), *_named())))


def _core() -> Iterable[Kind]:
    return (kind for kind in kinds.ALL if not kind.group)


def _named() -> Iterable[Kind]:
    return (*(kind for kind in kinds.ALL if kind.group), *REVIEWS)


# Aggregated


@cache
def aggregated(version: str, *, core: bool) -> Object:
    """The APIGroupDiscoveryList of /api or /apis."""
    groups = {
        group: list(members)
        for group, members in groupby(sorted(_core() if core else _named(), key=_group), key=_group)
    }
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": f"apidiscovery.k8s.io/{version}",
        "metadata": {},
        "items": [_group_discovery(group, members) for group, members in groups.items()],
    }


def _group(kind: Kind) -> str:
    return kind.group


def _group_discovery(group: str, members: list[Kind]) -> Object:
    versions = {kind.version: [other for other in members if other.version == kind.version] for kind in members}
    return {
        "metadata": {"name": group, "creationTimestamp": None} if group else {"creationTimestamp": None},
        "versions": [
            {"version": version, "resources": [_resource_discovery(kind) for kind in served], "freshness": "Current"}
            for version, served in versions.items()
        ],
    }


def _resource_discovery(kind: Kind) -> Object:
    response = {"group": kind.group, "version": kind.version, "kind": kind.kind}
    subresources = [
        {"subresource": name, "responseKind": response, "verbs": list(verbs)} for name, verbs in _subresources(kind)
    ]
    return {
        "resource": kind.plural,
        "responseKind": response,
        "scope": "Namespaced" if kind.namespaced else "Cluster",
        "singularResource": kind.singular,
        "verbs": list(_verbs(kind)),
        **({"shortNames": list(kind.short_names)} if kind.short_names else {}),
        **({"categories": list(kind.categories)} if kind.categories else {}),
        **({"subresources": subresources} if subresources else {}),
    }


def _verbs(kind: Kind) -> tuple[str, ...]:
    return ("create",) if kind in REVIEWS else VERBS


def _subresources(kind: Kind) -> Iterable[tuple[str, tuple[str, ...]]]:
    if kind.status and kind not in REVIEWS:
        yield "status", _STATUS_VERBS
    if kind is POD:
        yield "log", ("get",)
    if kind is SERVICE:
        yield "ended", ("get",)


# Plain


def versions(address: str) -> Object:
    """The APIVersions of /api."""
    addresses = [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}]
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": addresses}


@cache
def group_list() -> Object:
    """The APIGroupList of /apis."""
    names = dict.fromkeys(group for group, _ in group_versions() if group)
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [group(name) for name in names]}


def group(name: str) -> Object | None:
    """The APIGroup of /apis/NAME, if there is such a group."""
    served = [
        {"groupVersion": f"{name}/{version}", "version": version}
        for group_name, version in group_versions()
        if group_name == name
    ]
    if not name or not served:
        return None
    return {"kind": "APIGroup", "apiVersion": "v1", "name": name, "versions": served, "preferredVersion": served[0]}


@cache
def resource_list(group_name: str, version: str) -> Object | None:
    """The APIResourceList of /apis/GROUP/VERSION (or /api/v1), if there is such a version."""
    members = [kind for kind in (*_core(), *_named()) if (kind.group, kind.version) == (group_name, version)]
    if not members:
        return None
    resources = []
    for kind in members:
        resources.append(_resource(kind))
        resources += [_subresource(kind, name, verbs) for name, verbs in _subresources(kind)]
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": members[0].api_version,
        "resources": resources,
    }


def _resource(kind: Kind) -> Object:
    return {
        "name": kind.plural,
        "singularName": kind.singular,
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": list(_verbs(kind)),
        **({"shortNames": list(kind.short_names)} if kind.short_names else {}),
        **({"categories": list(kind.categories)} if kind.categories else {}),
    }


def _subresource(kind: Kind, name: str, verbs: tuple[str, ...]) -> Object:
    return {
        "name": f"{kind.plural}/{name}",
        "singularName": "",
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": list(verbs),
    }
