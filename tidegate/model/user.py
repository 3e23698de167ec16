# SPDX-License-Identifier: Apache-2.0
"""The caller of a request, named as in Kubernetes. Pure.

The API server authenticates a request and hands its `User` to the verbs as an argument. A part of this process
acts as a service account.
"""

from dataclasses import dataclass

AUTHENTICATED = "system:authenticated"


@dataclass(frozen=True, slots=True)
class User:
    """A user or a service account, and the groups that it belongs to."""

    name: str
    groups: tuple[str, ...] = ()


def service_account(namespace: str, name: str) -> User:
    """The user of a service account, with the groups that Kubernetes gives it."""
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", AUTHENTICATED)
    return User(f"system:serviceaccount:{namespace}:{name}", groups)
