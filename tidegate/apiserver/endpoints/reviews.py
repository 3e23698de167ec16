# SPDX-License-Identifier: Apache-2.0
"""Questions a client asks about itself, answered at once and never stored: `kubectl auth whoami` and `auth can-i`.
Whoever has the token may do everything."""

from tidegate.model.objects import Object
from tidegate.model.user import User


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
