# SPDX-License-Identifier: Apache-2.0
"""Publishes to each gateway its own endpoints, which carry its share of every instance.

In: revisions as they are published, gateways that connect, disconnect and end, and the gates' reports. Out: endpoints
for one gateway each, in the snapshot. `shares.py` decides the shares. Called by: `publisher.py`, `backends.py`,
`gateway/gateway.py`.

A single gateway has all slots, until another takes over from it (`envoys/handover.py`). Revisions without a container
concurrency need no shares: any number of requests may be sent to their instances.
"""

from collections.abc import Collection, Mapping

from tidegate.gateway.publisher.shares import Shares
from tidegate.kit.clock import Clock
from tidegate.model.load import LoadReport, SlotShare
from tidegate.model.objects import Key
from tidegate.routing.table import Backend
from tidegate.xds import cluster
from tidegate.xds.resource import ENDPOINTS_TYPE, packed
from tidegate.xds.snapshot import Snapshot


class Sharing:
    """All revisions with shares. `before`: the gateways that an earlier control plane has started."""

    def __init__(self, snapshot: Snapshot, clock: Clock, before: Collection[str]) -> None:
        self._snapshot = snapshot
        self._clock = clock
        self._gateways = dict.fromkeys(before, False)  # whether each held nothing when it connected
        self._connected: set[str] = set()
        self._ended: set[str] = set()  # a late report of one of these counts for nothing
        self._backends: dict[Key, Backend] = {}
        self._shares: dict[Key, Shares] = {}
        self._sent: dict[Key, dict[str, tuple[Backend, Mapping[str, SlotShare]]]] = {}  # by revision and gateway

    def publish(self, revision: Key, backend: Backend | None) -> None:
        """Share the instances of this backend from now on; None: the revision has no cluster any more."""
        if backend is None or backend.concurrency == 0:
            self._drop(revision)
            return
        shares = self._shares.get(revision)
        if shares is None:
            shares = self._shares[revision] = Shares(backend.concurrency, self._gateways)
            self._sent[revision] = {}
            for gateway in self._connected:
                shares.joined(gateway, known=self._gateways[gateway])
        now = self._clock.monotonic()
        shares.resize([endpoint.address for endpoint in backend.endpoints if not endpoint.draining], now)
        self._backends[revision] = backend
        self._settle(revision)

    def joined(self, gateway: str, *, fresh: bool) -> None:
        """The gateway is connected. `fresh`: it has no resources yet."""
        self._ended.discard(gateway)
        known = self._gateways.setdefault(gateway, fresh)
        self._connected.add(gateway)
        for revision, shares in self._shares.items():
            shares.joined(gateway, known=known)
            self._settle(revision)

    def left(self, gateway: str) -> None:
        """The gateway is disconnected. It continues with what it has."""
        self._connected.discard(gateway)
        for revision, shares in self._shares.items():
            shares.left(gateway)
            self._settle(revision)

    def ended(self, gateway: str) -> None:
        """The gateway's process has ended. Its successor has another id."""
        self._ended.add(gateway)
        self._gateways.pop(gateway, None)
        self._connected.discard(gateway)
        self._snapshot.forget(gateway)
        for revision, shares in self._shares.items():
            self._sent[revision].pop(gateway, None)
            shares.ended(gateway)
            self._settle(revision)

    def report(self, report: LoadReport) -> None:
        """Take in a gate's report of one revision."""
        shares = self._shares.get(report.revision)
        if shares is not None and report.gateway not in self._ended:
            shares.report(report)
            if not shares.is_settled:
                self._settle(report.revision)

    def _settle(self, revision: Key) -> None:
        """Move slots, and publish the endpoints of each gateway whose shares changed."""
        shares, backend, sent = self._shares[revision], self._backends[revision], self._sent[revision]
        shares.move(self._clock.monotonic())
        for gateway in self._connected:
            wanted = backend, shares.grants(gateway)
            if sent.get(gateway) != wanted:
                sent[gateway] = wanted
                message = cluster.build_endpoints(revision, *wanted)
                self._snapshot.put_own(packed(cluster.cluster_name(revision), revision, message), gateway)

    def _drop(self, revision: Key) -> None:
        if self._shares.pop(revision, None) is None:
            return
        del self._backends[revision]
        for gateway in self._sent.pop(revision):
            self._snapshot.drop_own(ENDPOINTS_TYPE, cluster.cluster_name(revision), gateway)
