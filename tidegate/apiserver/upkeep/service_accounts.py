# SPDX-License-Identifier: Apache-2.0
"""Each namespace has a service account named default.

In: every change of the store. Out: the account, created when its namespace is, and again when it was deleted. Rule:
k8s.io/kubernetes pkg/controller/serviceaccount/serviceaccounts_controller.go.
"""

import asyncio
from contextlib import suppress

from tidegate.apiserver.access.tokens import create_default
from tidegate.apiserver.registry import changes
from tidegate.apiserver.registry.api import Api
from tidegate.kit.clock import Clock
from tidegate.model import errors
from tidegate.model.kinds import NAMESPACE, SERVICE_ACCOUNT
from tidegate.model.objects import Key, is_deleting
from tidegate.model.tokens import DEFAULT_ACCOUNT
from tidegate.reconcile.queue import WorkQueue
from tidegate.store.watch import Change


class ServiceAccounts:
    """Creates missing accounts. `run` it once."""

    def __init__(self, api: Api, *, clock: Clock | None = None) -> None:
        self._api = api
        self._work: WorkQueue[str] = WorkQueue("service accounts", self.reconcile, workers=1, clock=clock)

    async def run(self) -> None:
        """Watch namespaces and accounts until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._work.run(), name="service accounts work")
            await changes.follow(self._api.store, self._wake_all, self._on_change)

    def _wake_all(self) -> None:
        for namespace in self._api.list(NAMESPACE).items:
            self._work.wake(namespace["metadata"]["name"])

    def _on_change(self, change: Change) -> None:
        if change.resource == NAMESPACE.resource and change.old is None:
            self._work.wake(change.key.name)
        elif change.resource == SERVICE_ACCOUNT.resource and change.new is None:
            self._work.wake(change.key.namespace)

    async def reconcile(self, name: str) -> None:
        """Create the account of one namespace if it is missing."""
        namespace = self._api.store.get(NAMESPACE.resource, Key("", name))
        account = self._api.store.get(SERVICE_ACCOUNT.resource, Key(name, DEFAULT_ACCOUNT))
        if namespace is not None and not is_deleting(namespace) and account is None:
            with suppress(errors.NotFound, errors.Forbidden):  # the namespace is being deleted
                await create_default(self._api, name)
