# SPDX-License-Identifier: Apache-2.0
"""ResourceQuotas: what an object counts as, and whether it still fits. Pure.

In: objects, and amounts by the names that `spec.hard` of a ResourceQuota has. Out: amounts, refusals as sentences, and
the quota's status. Who: the API server, which keeps the sums (`apiserver.quota`), and the controllers. Rule:
k8s.io/kubernetes pkg/quota/v1/evaluator and k8s.io/apiserver plugin/resourcequota.

| an object | counts as |
| --- | --- |
| any, until it is gone | count/RESOURCE[.GROUP] |
| a Secret, ConfigMap or ResourceQuota, until it is gone | secrets, configmaps, resourcequotas as well |
| a Pod that has not ended, also one that is being deleted | pods; what its containers ask for: cpu, limits.cpu, ... |
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
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
_TO_BE_SAID = frozenset(f"{prefix}{resource}" for prefix in ("", "requests.", "limits.") for resource in COMPUTE[:2])


def usage(kind: Kind, obj: Object) -> Amounts:
    """What one object counts as."""
    counted = {f"count/{kind.resource}": _ONE}
    if kind in _COUNTED_BY_NAME:
        counted[kind.plural] = _ONE
    if kind is kinds.POD and not has_ended(obj):
        counted |= {"pods": _ONE, **_asked(obj)}
    return counted


def has_ended(pod: Object) -> bool:
    """Whether it has come to its end for good, and needs nothing any more."""
    return status(pod).get("phase") in ("Succeeded", "Failed")


def _asked(pod: Object) -> dict[str, Fraction]:
    """What its containers ask for together, or one of those before them alone, if that is more."""
    running = _total(map(_of_container, spec(pod).get("containers") or ()))
    for container in spec(pod).get("initContainers") or ():
        for name, amount in _of_container(container).items():
            running[name] = max(running.get(name, _NONE), amount)
    return running


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


def _total(parts: Iterable[Amounts]) -> dict[str, Fraction]:
    total: dict[str, Fraction] = {}
    for part in parts:
        for name, amount in part.items():
            total[name] = total.get(name, _NONE) + amount
    return total


def hard(quota: Object) -> Mapping[str, Quantity]:
    """The limits that a ResourceQuota sets."""
    return {name: quantities.parse(written) for name, written in (spec(quota).get("hard") or {}).items()}


def unsaid(limits: Mapping[str, Quantity], pod: Object) -> str:
    """What a Pod must say and does not, so that it can be counted: "must specify cpu for: app"; "" for nothing."""
    missing: dict[str, list[str]] = {}
    for container in (*(spec(pod).get("containers") or ()), *(spec(pod).get("initContainers") or ())):
        for name in (limits.keys() & _TO_BE_SAID) - _of_container(container).keys():
            missing.setdefault(name, []).append(container.get("name", ""))
    told = [f"{name} for: {','.join(sorted(containers))}" for name, containers in sorted(missing.items())]
    return f"must specify {'; '.join(told)}" if told else ""


def exceeded(limits: Mapping[str, Quantity], used: Amounts, asked: Amounts) -> str:
    """How far it would go beyond the limits: "requested: pods=1, used: pods=2, limited: pods=2"; "" where it fits."""
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
    """An amount in the units of its limit."""
    return str(Quantity(amount, limit.family))


def observed_status(quota: Object, used: Amounts) -> Object:
    """The status of a ResourceQuota in whose namespace `used` is used."""
    limits = hard(quota)
    return {
        "hard": {name: str(limit) for name, limit in limits.items()},
        "used": {name: _written(used.get(name, _NONE), limit) for name, limit in limits.items()},
    }


def eases(old: Object | None, new: Object | None) -> bool:
    """Whether more may fit since a ResourceQuota changed."""
    if old is None:
        return False
    return new is None or spec(old) != spec(new) or any(_fallen(old, new))


def _fallen(old: Object, new: Object) -> Iterator[bool]:
    used = status(new).get("used") or {}
    for name, before in (status(old).get("used") or {}).items():
        yield quantities.parse(used.get(name, "0")).amount < quantities.parse(before).amount
