# SPDX-License-Identifier: Apache-2.0
"""The status of every ResourceQuota: the limits in force, and the used amount of each.

In: every change of the store, and the sums that admission keeps (`quota.Ledger`). Out: status updates through the
verbs, 50 ms after a change, so that a burst is one update. Rule: k8s.io/kubernetes pkg/controller/resourcequota.
"""

import asyncio

from tidegate.apiserver.registry import changes
from tidegate.apiserver.registry.api import Api, WriteOptions
from tidegate.kit.clock import Clock
from tidegate.model import errors, quota
from tidegate.model.kinds import POD, RESOURCE_QUOTA
from tidegate.model.objects import Key, key, status
from tidegate.model.user import service_account
from tidegate.reconcile.queue import WorkQueue
from tidegate.store.watch import Change

USER = service_account("kube-system", "resourcequota-controller")
_DELAY = 0.05  # seconds


class QuotaStatus:
    """Keeps the status of all ResourceQuotas. `run` it once."""

    def __init__(self, api: Api, *, clock: Clock | None = None) -> None:
        self._api = api
        self._work: WorkQueue[Key] = WorkQueue("quota status", self.reconcile, workers=1, clock=clock)

    async def run(self) -> None:
        """Update statuses until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._work.run(), name="quota status work")
            await changes.follow(self._api.store, self._wake_all, self._on_change)

    def _wake_all(self) -> None:
        for found in self._api.list(RESOURCE_QUOTA).items:
            self._work.wake(key(found))

    def _on_change(self, change: Change) -> None:
        if change.resource == RESOURCE_QUOTA.resource:
            self._work.wake(change.key)
        if change.old is not None and change.new is not None and change.resource != POD.resource:
            return  # an update counts the same as before
        for name in self._api.quotas.limiting(change.key.namespace):
            self._work.wake_after(Key(change.key.namespace, name), _DELAY)

    async def reconcile(self, name: Key) -> None:
        """Write the used amounts into the status, if they differ."""
        found = self._api.store.get(RESOURCE_QUOTA.resource, name)
        if found is None:
            return
        observed = quota.observed_status(found, self._api.quotas.used(name.namespace))
        if observed != status(found):
            try:
                await self._api.update(
                    RESOURCE_QUOTA, name, {**found, "status": observed}, user=USER, options=WriteOptions("status")
                )
            except (errors.NotFound, errors.Conflict):
                self._work.wake(name)  # it has changed meanwhile
