# SPDX-License-Identifier: Apache-2.0
"""What the user of a request may do. Pure.

| user | may |
| --- | --- |
| in the group `system:masters` | everything |
| any other, e.g. a service account | read discovery documents and the version; ask about itself |

These are Kubernetes' roles cluster-admin, system:discovery and system:basic-user, for service accounts also
system:service-account-issuer-discovery. There are no other roles. Called by: `endpoints/auth.py` and `reviews.py`.
"""

from typing import NamedTuple

from tidegate.model.user import User

MASTERS = "system:masters"
_DISCOVERY = ("/api", "/apis", "/openapi", "/version")
_HEALTH = ("/healthz", "/livez", "/readyz")
_ISSUER = ("/.well-known/openid-configuration", "/openid/v1/jwks")
_OWN_REVIEWS = ("selfsubjectaccessreviews", "selfsubjectrulesreviews", "selfsubjectreviews")


class Attributes(NamedTuple):
    """A request as rules see it. `resource`: "" for a path that names no kind; with its subresource: "pods/log"."""

    verb: str
    path: str = ""
    group: str = ""
    resource: str = ""
    namespace: str = ""
    name: str = ""


def allows(user: User, asked: Attributes) -> bool:
    """Whether the user may do that."""
    if MASTERS in user.groups:
        return True
    if asked.resource:
        return asked.verb == "create" and asked.resource in _OWN_REVIEWS and asked.group.endswith(".k8s.io")
    path = asked.path.rstrip("/")
    is_discovery = any(path == place or path.startswith(f"{place}/") for place in _DISCOVERY)
    return asked.verb == "get" and (is_discovery or path in _HEALTH or path in _ISSUER)


def refusal(user: User, asked: Attributes) -> str:
    """The message of a request that is not allowed, in Kubernetes' words."""
    if not asked.resource:
        return f'forbidden: User "{user.name}" cannot {asked.verb} path "{asked.path}"'
    subject = f"{asked.resource}.{asked.group}" if asked.group else asked.resource
    subject = f'{subject} "{asked.name}"' if asked.name else subject
    place = f'in the namespace "{asked.namespace}"' if asked.namespace else "at the cluster scope"
    what = f'resource "{asked.resource}" in API group "{asked.group}" {place}'
    return f'{subject} is forbidden: User "{user.name}" cannot {asked.verb} {what}'


def rules(user: User) -> tuple[list[dict[str, list[str]]], list[dict[str, list[str]]]]:
    """The rules of a user about resources, and about other paths."""
    if MASTERS in user.groups:
        return [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}], [{"verbs": ["*"], "nonResourceURLs": ["*"]}]
    groups = ["authentication.k8s.io", "authorization.k8s.io"]
    paths = [*(name for place in _DISCOVERY for name in (place, f"{place}/*")), *_HEALTH, *_ISSUER]
    resources = [{"verbs": ["create"], "apiGroups": groups, "resources": list(_OWN_REVIEWS)}]
    return resources, [{"verbs": ["get"], "nonResourceURLs": paths}]
