# SPDX-License-Identifier: Apache-2.0
"""How much of each namespace is used, to the object, and who may still come: ResourceQuotas at admission.

In: every change as the store takes it on and as it ends (`CommitObserver`). Out: `check`, which refuses a new object,
and `used`. Between `check` and the store's taking on what was checked nothing else runs, and what is under way counts
as there already: two creations at a time cannot both have the last place. What goes frees its place once that is
durable.

Only namespaces with a quota are counted: their sums are made of all their objects once, when the first quota comes, and
kept from then on. A creation costs as much as its namespace has quotas, and where it has none, nothing.
"""

from collections.abc import Collection, Mapping
from fractions import Fraction

from tidegate.model import quota
from tidegate.model.kinds import POD, RESOURCE_QUOTA, Kind, Kinds
from tidegate.model.objects import Key, Object, key
from tidegate.model.quota import Amounts
from tidegate.model.registry import refusals
from tidegate.model.text.quantities import Quantity
from tidegate.store.store import Store
from tidegate.store.watch import Change

Sums = dict[str, dict[str, Fraction]]
"""Amounts by namespace; what is nothing is not there."""


class Ledger:
    """The used amounts and the limits of every namespace."""

    def __init__(self, store: Store, kinds: Kinds) -> None:
        self._store = store
        self._kinds = kinds
        self._stored: Sums = {}
        self._coming: Sums = {}  # of what is under way
        self._under_way: dict[int, Change] = {}
        self._limits: dict[str, dict[str, Mapping[str, Quantity]]] = {}
        for found in store.page(RESOURCE_QUOTA.resource).items:
            self._limit(key(found), found)
        store.observe(self)

    def used(self, namespace: str) -> Amounts:
        """What is stored in a namespace that has a quota."""
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
        self._under_way[change.revision] = change
        if change.key.namespace in self._limits:
            _add(self._coming, change.key.namespace, self._more(change), 1)

    def ended(self, change: Change, *, stored: bool) -> None:
        """A change is durable, or has failed."""
        del self._under_way[change.revision]
        namespace = change.key.namespace
        if namespace in self._limits:
            _add(self._coming, namespace, self._more(change), -1)
            if stored:
                _add(self._stored, namespace, self._more(change), 1)
                _add(self._stored, namespace, self._less(change), -1)
        if stored and change.resource == RESOURCE_QUOTA.resource:
            self._limit(change.key, change.new, change)

    def _limit(self, name: Key, found: Object | None, change: Change | None = None) -> None:
        """A quota is there, or gone: by this change, which the store is about to show."""
        limits = self._limits.get(name.namespace, {})
        if not limits:
            self._begin(name.namespace, change)
        if found is not None:
            self._limits.setdefault(name.namespace, {})[name.name] = quota.hard(found)
            return
        limits.pop(name.name, None)
        if not limits:
            for of_all in (self._limits, self._stored, self._coming):
                of_all.pop(name.namespace, None)

    def _begin(self, namespace: str, change: Change | None) -> None:
        """Count what there is in a namespace: stored and about to be shown, or under way."""
        for kind in self._kinds:
            for obj in self._store.page(kind.resource, namespace).items if kind.namespaced else ():
                _add(self._stored, namespace, quota.usage(kind, obj), 1)
        if change is not None:
            _add(self._stored, namespace, self._more(change), 1)
        for coming in self._under_way.values():
            if coming.key.namespace == namespace:
                _add(self._coming, namespace, self._more(coming), 1)

    def _more(self, change: Change) -> Amounts:
        """What the new version counts as and the old one does not."""
        return self._difference(change, change.old, change.new)

    def _less(self, change: Change) -> Amounts:
        """What the old version counts as and the new one does not."""
        return self._difference(change, change.new, change.old)

    def _difference(self, change: Change, before: Object | None, after: Object | None) -> Amounts:
        """An update changes no more than whether a Pod has ended."""
        kind = self._kinds.of_resource(change.resource)
        if kind is None or after is None:
            return {}
        if before is None:
            return quota.usage(kind, after)
        if kind is not POD or quota.has_ended(before) == quota.has_ended(after):
            return {}
        counted = quota.usage(kind, before)
        return {name: amount for name, amount in quota.usage(kind, after).items() if name not in counted}


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
