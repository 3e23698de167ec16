# SPDX-License-Identifier: Apache-2.0
"""Reviews: questions of a client about its own user and permissions (`kubectl auth whoami`, `kubectl auth can-i`).

The answer is the review with a status; nothing is stored. Pure. The rules are those of `access/authorization.py`.
"""

from collections.abc import Callable, Mapping

from tidegate.apiserver.access import authorization
from tidegate.apiserver.access.authorization import Attributes
from tidegate.model.objects import Object, spec
from tidegate.model.user import User

Review = Callable[[Object, User], Object]


def access_review(review: Object, user: User) -> Object:
    resource, other = spec(review).get("resourceAttributes"), spec(review).get("nonResourceAttributes") or {}
    if resource is not None:
        fields = ("group", "resource", "namespace", "name")
        asked = Attributes(str(resource.get("verb") or ""), "", *(str(resource.get(field) or "") for field in fields))
    else:
        asked = Attributes(str(other.get("verb") or ""), str(other.get("path") or ""))
    if authorization.allows(user, asked):
        return {**review, "status": {"allowed": True, "reason": f"{user.name} may do that"}}
    return {**review, "status": {"allowed": False, "reason": authorization.refusal(user, asked)}}


def rules_review(review: Object, user: User) -> Object:
    resources, others = authorization.rules(user)
    return {**review, "status": {"resourceRules": resources, "nonResourceRules": others, "incomplete": False}}


def self_review(review: Object, user: User) -> Object:
    return {**review, "status": {"userInfo": {"username": user.name, "groups": list(user.groups)}}}


BY_PATH: Mapping[str, Review] = {
    "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews": access_review,
    "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews": rules_review,
    "/apis/authentication.k8s.io/v1/selfsubjectreviews": self_review,
}
