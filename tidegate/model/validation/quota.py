# SPDX-License-Identifier: Apache-2.0
"""The rules of ResourceQuotas. Texts: k8s.io/kubernetes pkg/apis/core/validation ValidateResourceQuota.

A limit on a resource that Kubernetes has and Tidegate does not have is accepted and never exceeded, so that a manifest
for a cluster works here. A limit on objects of a kind that is not served gives a warning.
"""

from collections.abc import Iterator

from tidegate.model.causes import forbidden, invalid
from tidegate.model.errors import Cause
from tidegate.model.object_write import ObjectWrite
from tidegate.model.quota import COMPUTE
from tidegate.model.text import quantities, syntax
from tidegate.model.validation.resources import NEGATIVE, NOT_WHOLE

_COUNTS = frozenset(
    (
        *("pods", "resourcequotas", "secrets", "configmaps", "services", "services.loadbalancers"),
        *("services.nodeports", "replicationcontrollers", "persistentvolumeclaims"),
    )
)
_AMOUNTS = frozenset(
    ("requests.storage", *(f"{prefix}{resource}" for prefix in ("", "requests.", "limits.") for resource in COMPUTE))
)


def resource_quota(write: ObjectWrite) -> Iterator[Cause]:
    spec = write.new.get("spec") or {}
    for name, written in (spec.get("hard") or {}).items():
        yield from _limit(name, written, f"spec.hard[{name}]")
    for field in ("scopes", "scopeSelector"):
        if spec.get(field):
            yield forbidden(f"spec.{field}", "quotas for some Pods of a namespace are not supported")


def _limit(name: str, written: str, path: str) -> Iterator[Cause]:
    for rule in syntax.qualified_name(name):
        yield invalid(name, path, rule)
    if "/" not in name and name not in _COUNTS | _AMOUNTS:
        yield invalid(name, path, "must be a standard resource for quota")
    amount = quantities.parse(written).amount
    if amount < 0:
        yield invalid(written, path, NEGATIVE)
    elif (name in _COUNTS or "/" in name) and amount.denominator != 1:
        yield invalid(written, path, NOT_WHOLE)


def warnings(write: ObjectWrite) -> Iterator[str]:
    for name in (write.new.get("spec") or {}).get("hard") or {}:
        of, slash, resource = name.partition("/")
        if slash and of == "count" and write.kinds.of_resource(resource) is None:
            yield f'spec.hard[{name}]: "{resource}" is not served, so this limit has no effect'
