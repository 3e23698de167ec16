# SPDX-License-Identifier: Apache-2.0
"""Discovery: the documents that list groups, versions and resources, for clients. Pure.

In: the kinds that the API serves. Out: the aggregated documents (apidiscovery.k8s.io: one for all groups) and the plain
ones (one per group and version). Called by: `discovery_routes`.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby

from tidegate.model.kinds import Kind, Kinds
from tidegate.model.objects import Object

VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
_STATUS_VERBS = ("get", "patch", "update")
_SESSIONS = {"exec": "PodExecOptions", "attach": "PodAttachOptions", "portforward": "PodPortForwardOptions"}
"""The subresources that switch their connection, and the kinds that Kubernetes gives them."""

_VERBS_OF = {"token": ("create",), **dict.fromkeys(_SESSIONS, ("create", "get"))}
"""The verbs of other subresources than status, if they are not only "get"."""

REVIEWS = (
    Kind("authorization.k8s.io", "v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews", namespaced=False),
    Kind("authorization.k8s.io", "v1", "SelfSubjectRulesReview", "selfsubjectrulesreviews", namespaced=False),
    Kind("authentication.k8s.io", "v1", "SelfSubjectReview", "selfsubjectreviews", namespaced=False),
    Kind("authentication.k8s.io", "v1", "TokenReview", "tokenreviews", namespaced=False),
)
"""Kinds that can only be created: the answer to the request is the object (`reviews.py`, `token_requests.py`)."""


class Discovery:
    """The documents of one API, made once."""

    def __init__(self, kinds: Kinds) -> None:
        core = [kind for kind in kinds if not kind.group]
        named = [*(kind for kind in kinds if kind.group), *REVIEWS]
        self._members = {"api": core, "apis": named}
        self._group_versions = group_versions(kinds)
        self._aggregated: dict[tuple[str, str], Object] = {}

    def aggregated(self, version: str, root: str) -> Object:
        """The APIGroupDiscoveryList at `root`: "api" (the core group) or "apis" (all others)."""
        if (version, root) not in self._aggregated:
            self._aggregated[version, root] = _aggregated(version, self._members[root])
        return self._aggregated[version, root]

    def group_list(self) -> Object:
        """The APIGroupList of /apis."""
        names = dict.fromkeys(group for group, _ in self._group_versions if group)
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [self.group(name) for name in names]}

    def group(self, name: str) -> Object | None:
        """The APIGroup of /apis/NAME; None if there is no such group."""
        served = [
            {"groupVersion": f"{name}/{version}", "version": version}
            for group_name, version in self._group_versions
            if group_name == name
        ]
        if not name or not served:
            return None
        return {"kind": "APIGroup", "apiVersion": "v1", "name": name, "versions": served, "preferredVersion": served[0]}

    def resource_list(self, group: str, version: str) -> Object | None:
        """The APIResourceList of /apis/GROUP/VERSION or /api/v1; None if there is no such version."""
        every = (kind for members in self._members.values() for kind in members)
        members = [kind for kind in every if (kind.group, kind.version) == (group, version)]
        return _resource_list(members) if members else None


def group_versions(kinds: Kinds) -> list[tuple[str, str]]:
    """Every (group, version): core first, then in the order of `kinds`."""
    ordered = sorted((*kinds, *REVIEWS), key=lambda kind: bool(kind.group))
    return list(dict.fromkeys((kind.group, kind.version) for kind in ordered))


def versions(address: str) -> Object:
    """The APIVersions of /api."""
    addresses = [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}]
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": addresses}


# Aggregated


def _aggregated(version: str, kinds: Iterable[Kind]) -> Object:
    groups = {group: list(members) for group, members in groupby(sorted(kinds, key=_group), key=_group)}
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
        {
            "subresource": name,
            "responseKind": {**response, "kind": _SESSIONS.get(name, kind.kind)},
            "verbs": list(verbs),
        }
        for name, verbs in _subresources(kind)
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
    for name in kind.subresources:
        yield name, _VERBS_OF.get(name, ("get",))


# Plain


def _resource_list(members: Sequence[Kind]) -> Object:
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
        "kind": _SESSIONS.get(name, kind.kind),
        "verbs": list(verbs),
    }
