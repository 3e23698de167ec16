# SPDX-License-Identifier: Apache-2.0
"""ResourceQuotas at admission: the exact use of each namespace, and whether it has room for a new object.

In: every change, when the store accepts it and when it ends (`CommitObserver`). Out: `check`, which rejects a new
object, and `used`. Nothing else runs between `check` and the acceptance of the checked object, and accepted changes
count as stored: two creations at a time cannot both take the last place. A deletion frees its place once it is durable.

Only namespaces with a quota are counted. The first quota of a namespace sums up all its objects; from then on each
change updates the sums. A creation costs time in proportion to the quotas of its namespace, and none without a quota.
"""

from collections.abc import Collection, Mapping
from fractions import Fraction

from tidegate.kit.clock import Clock
from tidegate.model import quota
from tidegate.model.kinds import POD, RESOURCE_QUOTA, Kind, Kinds
from tidegate.model.objects import Key, Object, key
from tidegate.model.quota import Amounts
from tidegate.model.registry import rejections
from tidegate.model.text.quantities import Quantity
from tidegate.reconcile.expectations import Expectations
from tidegate.store.store import Store
from tidegate.store.watch import Change

Sums = dict[str, dict[str, Fraction]]
"""Amounts by namespace; zeros are left out."""


class Ledger:
    """The used amounts and the limits of every namespace."""

    def __init__(self, store: Store, kinds: Kinds, clock: Clock) -> None:
        self._store = store
        self._kinds = kinds
        self._stored: Sums = {}
        self._pending: Sums = {}  # of changes that are not durable yet
        self._accepted: Expectations[str, Change] = Expectations(clock)  # by namespace and revision
        self._limits: dict[str, dict[str, Mapping[str, Quantity]]] = {}
        for found in store.page(RESOURCE_QUOTA.resource).items:
            self._limit(key(found), found)
        store.observe(self)

    def used(self, namespace: str) -> Amounts:
        """The amounts that are stored in a namespace with a quota."""
        return self._stored.get(namespace, {})

    def limiting(self, namespace: str) -> Collection[str]:
        """The names of a namespace's quotas."""
        return self._limits.get(namespace, {}).keys()

    def check(self, kind: Kind, obj: Object) -> None:
        """Raises `Forbidden` if a quota has no room for a new object."""
        metadata = obj["metadata"]
        limits = self._limits.get(metadata.get("namespace", ""))
        if not limits:
            return
        asked = quota.usage(kind, obj)
        used = {name: self._counted(metadata["namespace"], name) for name in asked}
        for name, hard in sorted(limits.items()):
            if kind is POD and (reason := quota.unsaid(hard, obj)):
                raise rejections.forbidden(kind, metadata.get("name", ""), f"failed quota: {name}: {reason}")
            if reason := quota.exceeded(hard, used, asked):
                raise rejections.forbidden(kind, metadata.get("name", ""), f"exceeded quota: {name}, {reason}")

    def _counted(self, namespace: str, name: str) -> Fraction:
        nothing = Fraction(0)
        return self._stored.get(namespace, {}).get(name, nothing) + self._pending.get(namespace, {}).get(name, nothing)

    def begun(self, change: Change) -> None:
        """The store has accepted a change."""
        self._accepted.expect(change.key.namespace, change, change.revision)
        if change.key.namespace in self._limits:
            _add(self._pending, change.key.namespace, self._more(change), 1)

    def ended(self, change: Change, *, stored: bool) -> None:
        """A change is durable, or has failed."""
        namespace = change.key.namespace
        self._accepted.confirm(namespace, change.revision)
        if namespace in self._limits:
            _add(self._pending, namespace, self._more(change), -1)
            if stored:
                _add(self._stored, namespace, self._more(change), 1)
                _add(self._stored, namespace, self._less(change), -1)
        if stored and change.resource == RESOURCE_QUOTA.resource:
            self._limit(change.key, change.new, change)

    def _limit(self, name: Key, found: Object | None, change: Change | None = None) -> None:
        """A quota exists, or has been deleted, by this change, which the store is about to show."""
        limits = self._limits.get(name.namespace, {})
        if not limits:
            self._begin(name.namespace, change)
        if found is not None:
            self._limits.setdefault(name.namespace, {})[name.name] = quota.hard(found)
            return
        limits.pop(name.name, None)
        if not limits:
            for of_all in (self._limits, self._stored, self._pending):
                of_all.pop(name.namespace, None)

    def _begin(self, namespace: str, change: Change | None) -> None:
        """Count the objects of a namespace: stored, about to be shown, and accepted."""
        for kind in self._kinds:
            for obj in self._store.page(kind.resource, namespace).items if kind.namespaced else ():
                _add(self._stored, namespace, quota.usage(kind, obj), 1)
        if change is not None:
            _add(self._stored, namespace, self._more(change), 1)
        for accepted in self._accepted.all(namespace).values():
            _add(self._pending, namespace, self._more(accepted), 1)

    def _more(self, change: Change) -> Amounts:
        """The amounts of the new version that the old version does not have."""
        return self._difference(change, change.old, change.new)

    def _less(self, change: Change) -> Amounts:
        """The amounts of the old version that the new version does not have."""
        return self._difference(change, change.new, change.old)

    def _difference(self, change: Change, before: Object | None, after: Object | None) -> Amounts:
        """The amounts of `after` that `before` does not have. An update changes them only when a Pod ends."""
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
