# SPDX-License-Identifier: Apache-2.0
"""ResourceQuotas: which limits there may be. Words: k8s.io/kubernetes pkg/apis/core/validation ValidateResourceQuota.

What Kubernetes knows and Tidegate does not have is let in and counts as none, so that a manifest for a cluster can be
used here; a limit on objects of a kind that is not served brings a warning.
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
            yield forbidden(f"spec.{field}", "quotas for some Pods of a namespace only are not supported")


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
            yield f'spec.hard[{name}]: there are no "{resource}" here, so that this limits nothing'
