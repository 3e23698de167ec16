# SPDX-License-Identifier: Apache-2.0
"""How much of each namespace is used, to the object, and who may still come: ResourceQuotas at admission.

In: every change as the store takes it on and as it ends (`Account`). Out: `check`, which refuses a new object, and
`used`. Between `check` and the store's taking on what was checked nothing else runs, and what is under way counts as
there already: two creations at a time cannot both have the last place. What goes frees its place once that is durable.

The sums are made of all objects once, at the start, and kept from then on: a creation costs as much as its namespace
has quotas.
"""

from collections.abc import Collection, Mapping
from fractions import Fraction

from tidegate.apiserver import refusals
from tidegate.model import kinds, quota
from tidegate.model.kinds import POD, RESOURCE_QUOTA, Kind
from tidegate.model.objects import Key, Object, key
from tidegate.model.quantities import Quantity
from tidegate.model.quota import Amounts
from tidegate.store.store import Store
from tidegate.store.watch import Change

Sums = dict[str, dict[str, Fraction]]
"""Amounts by namespace; what is nothing is not there."""


class Ledger:
    """The used amounts and the limits of every namespace."""

    def __init__(self, store: Store) -> None:
        self._stored: Sums = {}
        self._coming: Sums = {}  # of what is under way
        self._limits: dict[str, dict[str, Mapping[str, Quantity]]] = {}
        for kind in kinds.ALL:
            for obj in store.page(kind.resource).items if kind.namespaced else ():
                self._take(kind, key(obj), None, obj)
        store.account(self)

    def used(self, namespace: str) -> Amounts:
        """What is stored in a namespace."""
        return self._stored.get(namespace, {})

    def limiting(self, namespace: str) -> Collection[str]:
        """The names of a namespace's quotas."""
        return self._limits.get(namespace, {}).keys()

    def check(self, kind: Kind, obj: Object) -> None:
        """Raises `Forbidden` where a quota has no room for a new object."""
        metadata = obj["metadata"]
        limits = self._limits.get(metadata.get("namespace", ""))
        if not limits:
            return
        asked = quota.usage(kind, obj)
        used = {name: self._counted(metadata["namespace"], name) for name in asked}
        for name, hard in sorted(limits.items()):
            if kind is POD and (told := quota.unsaid(hard, obj)):
                raise refusals.forbidden(kind, metadata.get("name", ""), f"failed quota: {name}: {told}")
            if told := quota.exceeded(hard, used, asked):
                raise refusals.forbidden(kind, metadata.get("name", ""), f"exceeded quota: {name}, {told}")

    def _counted(self, namespace: str, name: str) -> Fraction:
        nothing = Fraction(0)
        return self._stored.get(namespace, {}).get(name, nothing) + self._coming.get(namespace, {}).get(name, nothing)

    def begun(self, change: Change) -> None:
        """A change is under way."""
        kind = _counted_kind(change)
        if kind is not None:
            _add(self._coming, change.key.namespace, _more(kind, change.old, change.new), 1)

    def ended(self, change: Change, *, stored: bool) -> None:
        """A change is durable, or has failed."""
        kind = _counted_kind(change)
        if kind is not None:
            _add(self._coming, change.key.namespace, _more(kind, change.old, change.new), -1)
            if stored:
                self._take(kind, change.key, change.old, change.new)

    def _take(self, kind: Kind, name: Key, old: Object | None, new: Object | None) -> None:
        _add(self._stored, name.namespace, _more(kind, old, new), 1)
        _add(self._stored, name.namespace, _more(kind, new, old), -1)
        if kind is RESOURCE_QUOTA:
            limits = self._limits.setdefault(name.namespace, {})
            if new is not None:
                limits[name.name] = quota.hard(new)
            else:
                limits.pop(name.name, None)
            if not limits:
                del self._limits[name.namespace]


def _counted_kind(change: Change) -> Kind | None:
    return kinds.of_resource(change.resource) if change.key.namespace else None


def _more(kind: Kind, old: Object | None, new: Object | None) -> Amounts:
    """What `new` counts as and `old` does not. An update changes no more than whether a Pod has ended."""
    if new is None:
        return {}
    if old is None:
        return quota.usage(kind, new)
    if kind is not POD or quota.has_ended(old) == quota.has_ended(new):
        return {}
    before = quota.usage(kind, old)
    return {name: amount for name, amount in quota.usage(kind, new).items() if name not in before}


def _add(sums: Sums, namespace: str, amounts: Amounts, times: int) -> None:
    if not amounts:
        return
    total = sums.setdefault(namespace, {})
    for name, amount in amounts.items():
        total[name] = total.get(name, Fraction(0)) + times * amount
        if not total[name]:
            del total[name]
    if not total:
        del sums[namespace]
