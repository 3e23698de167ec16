# SPDX-License-Identifier: Apache-2.0
"""Waits until no gateway sends new requests to an instance: the endpoints without the instance are acknowledged.

In: a revision and the address of one instance. Out: `withdrawn` returns. Called by: `gateway/load.py`, for the node
agent. `publisher.py` calls `check` whenever the answer may have changed.
"""

import asyncio

from tidegate.gateway.publisher.backends import BackendPublisher
from tidegate.model.objects import Key
from tidegate.xds import cluster
from tidegate.xds.resource import ENDPOINTS_TYPE
from tidegate.xds.server import ManagementServer
from tidegate.xds.snapshot import Snapshot


class Withdrawals:
    """The callers that wait, by revision."""

    def __init__(self, snapshot: Snapshot, backends: BackendPublisher, server: ManagementServer) -> None:
        self._snapshot = snapshot
        self._backends = backends
        self._server = server
        self._waiting: dict[Key, set[asyncio.Event]] = {}

    async def withdrawn(self, revision: Key, address: str) -> None:
        """Return once no gateway sends new requests to an instance that is draining or deleted."""
        self._backends.publish(revision)
        changed = asyncio.Event()
        waiting = self._waiting.setdefault(revision, set())
        waiting.add(changed)
        try:
            while not self._is_withdrawn(revision, address):
                changed.clear()
                await changed.wait()
        finally:
            waiting.discard(changed)
            if not waiting:
                self._waiting.pop(revision, None)

    def check(self, revision: Key) -> None:
        """Look again at that revision: its instances or their acknowledgement have changed."""
        for changed in self._waiting.get(revision, ()):
            changed.set()

    def check_all(self) -> None:
        """Look again at all revisions: a gateway has disconnected."""
        for revision in self._waiting:
            self.check(revision)

    def _is_withdrawn(self, revision: Key, address: str) -> bool:
        if self._backends.serves(revision, address):
            return False
        resource = self._snapshot.get(ENDPOINTS_TYPE, cluster.cluster_name(revision))
        return resource is None or not self._server.connected or self._server.in_force(resource)
