# SPDX-License-Identifier: Apache-2.0
"""Reviews: questions of a client about its own user and permissions (`kubectl auth whoami`, `kubectl auth can-i`).

The answer is the review with a status; nothing is stored. The user of the token may do everything. Pure.
"""

from collections.abc import Callable, Mapping

from tidegate.model.objects import Object
from tidegate.model.user import User

Review = Callable[[Object, User], Object]


def access_review(review: Object, user: User) -> Object:
    return {**review, "status": {"allowed": True, "reason": f"{user.name} may do everything"}}


def rules_review(review: Object, user: User) -> Object:
    status = {
        "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}],
        "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
        "incomplete": False,
    }
    return {**review, "status": status}


def self_review(review: Object, user: User) -> Object:
    return {**review, "status": {"userInfo": {"username": user.name, "groups": list(user.groups)}}}


BY_PATH: Mapping[str, Review] = {
    "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews": access_review,
    "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews": rules_review,
    "/apis/authentication.k8s.io/v1/selfsubjectreviews": self_review,
}
