# SPDX-License-Identifier: Apache-2.0
"""ResourceQuotas: the amounts that an object uses, and whether they are within the limits. Pure.

In: objects, and amounts by the names in `spec.hard` of a ResourceQuota. Out: amounts, reasons of rejections, and the
status of the quota. Called by: the API server, which keeps the sums (`apiserver.registry.quota`), and the controllers.
Rule: k8s.io/kubernetes pkg/quota/v1/evaluator and k8s.io/apiserver plugin/resourcequota.

| object | amounts |
| --- | --- |
| any | count/RESOURCE[.GROUP] |
| a Secret, ConfigMap or ResourceQuota | also secrets, configmaps, resourcequotas |
| a Pod that has not ended | also pods, and the requests and limits of its containers: cpu, limits.cpu, ... |

An object counts until it is removed, also while it is being deleted.
"""

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction

from tidegate.model import container_resources, kinds
from tidegate.model.kinds import Kind
from tidegate.model.objects import Object, spec, status
from tidegate.model.text import quantities
from tidegate.model.text.quantities import Quantity

Amounts = Mapping[str, Fraction]

COMPUTE = ("cpu", "memory", "ephemeral-storage")
_ONE, _NONE = Fraction(1), Fraction(0)
_COUNTED_BY_NAME = (kinds.SECRET, kinds.CONFIG_MAP, kinds.RESOURCE_QUOTA)
_REQUIRED = frozenset(f"{prefix}{resource}" for prefix in ("", "requests.", "limits.") for resource in COMPUTE[:2])


def usage(kind: Kind, obj: Object) -> Amounts:
    """The amounts that one object uses."""
    counted = {f"count/{kind.resource}": _ONE}
    if kind in _COUNTED_BY_NAME:
        counted[kind.plural] = _ONE
    if kind is kinds.POD and not has_ended(obj):
        counted |= {"pods": _ONE, **container_resources.of_pod(obj, _of_container)}
    return counted


def has_ended(pod: Object) -> bool:
    """Whether the Pod has ended for good and uses no resources."""
    return status(pod).get("phase") in ("Succeeded", "Failed")


def _of_container(container: Object) -> dict[str, Fraction]:
    limits = (container.get("resources") or {}).get("limits") or {}
    asked: dict[str, Fraction] = {}
    for resource, written in container_resources.requests(container).items():
        asked[f"requests.{resource}"] = quantities.parse(written).amount
        if resource in COMPUTE:
            asked[resource] = asked[f"requests.{resource}"]
    for resource in COMPUTE:
        if resource in limits:
            asked[f"limits.{resource}"] = quantities.parse(limits[resource]).amount
    return asked


def hard(quota: Object) -> Mapping[str, Quantity]:
    """The limits that a ResourceQuota sets."""
    return {name: quantities.parse(written) for name, written in (spec(quota).get("hard") or {}).items()}


def unsaid(limits: Mapping[str, Quantity], pod: Object) -> str:
    """The amounts that a Pod must set because they are limited, e.g. "must specify cpu for: app"; "" if it sets all."""
    missing: dict[str, list[str]] = {}
    for container in (*(spec(pod).get("containers") or ()), *(spec(pod).get("initContainers") or ())):
        for name in (limits.keys() & _REQUIRED) - _of_container(container).keys():
            missing.setdefault(name, []).append(container.get("name", ""))
    parts = [f"{name} for: {','.join(sorted(containers))}" for name, containers in sorted(missing.items())]
    return f"must specify {'; '.join(parts)}" if parts else ""


def exceeded(limits: Mapping[str, Quantity], used: Amounts, asked: Amounts) -> str:
    """The limits that an object would exceed, e.g. "requested: pods=1, used: pods=2, limited: pods=2"; "" for none."""
    over = sorted(
        name for name, limit in limits.items() if asked.get(name) and used.get(name, _NONE) + asked[name] > limit.amount
    )
    if not over:
        return ""
    return ", ".join(
        f"{word}: {_listed(over, limits, amounts)}"
        for word, amounts in (
            ("requested", asked),
            ("used", used),
            ("limited", {name: limits[name].amount for name in over}),
        )
    )


def _listed(names: Sequence[str], limits: Mapping[str, Quantity], amounts: Amounts) -> str:
    return ",".join(f"{name}={_written(amounts.get(name, _NONE), limits[name])}" for name in names)


def _written(amount: Fraction, limit: Quantity) -> str:
    """An amount in the unit of its limit."""
    return str(Quantity(amount, limit.family))


def observed_status(quota: Object, used: Amounts) -> Object:
    """The status of a ResourceQuota whose namespace uses `used`."""
    limits = hard(quota)
    return {
        "hard": {name: str(limit) for name, limit in limits.items()},
        "used": {name: _written(used.get(name, _NONE), limit) for name, limit in limits.items()},
    }


def eases(old: Object | None, new: Object | None) -> bool:
    """Whether a change of a ResourceQuota may leave room for more objects."""
    if old is None:
        return False
    return new is None or spec(old) != spec(new) or any(_fallen(old, new))


def _fallen(old: Object, new: Object) -> Iterator[bool]:
    used = status(new).get("used") or {}
    for name, before in (status(old).get("used") or {}).items():
        yield quantities.parse(used.get(name, "0")).amount < quantities.parse(before).amount
