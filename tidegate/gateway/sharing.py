# SPDX-License-Identifier: Apache-2.0
"""Every gateway's own view of the instances that they share: the endpoints with its shares.

In: revisions as they are published, gateways that come, go and end, and what their gates say. Out: endpoints for one
gateway each, in the snapshot. What is shared and how is decided in `shares.py`. Who: `publish.py`.

One that is alone has everything, until another takes over from it (`handover.py`). A revision without container
concurrency needs no shares: any number of requests may go to its instances.
"""

from collections.abc import Collection, Mapping

from tidegate.gateway.shares import Shares
from tidegate.kit.clock import Clock
from tidegate.model.load import LoadReport, Share
from tidegate.model.objects import Key
from tidegate.routing.table import Backend
from tidegate.xds import cluster
from tidegate.xds.resource import ENDPOINTS, packed
from tidegate.xds.snapshot import Snapshot


class Sharing:
    """All shared revisions. `before`: the gateways that were there before this control plane."""

    def __init__(self, snapshot: Snapshot, clock: Clock, before: Collection[str]) -> None:
        self._snapshot = snapshot
        self._clock = clock
        self._gateways = dict.fromkeys(before, False)  # whether they came with nothing
        self._connected: set[str] = set()
        self._ended: set[str] = set()  # of which something may still be said
        self._backends: dict[Key, Backend] = {}
        self._shares: dict[Key, Shares] = {}
        self._told: dict[Key, dict[str, tuple[Backend, Mapping[str, Share]]]] = {}  # by revision and gateway

    def publish(self, revision: Key, backend: Backend | None) -> None:
        """The instances of a revision from now on; None: it has no cluster any more."""
        if backend is None or backend.concurrency == 0:
            self._drop(revision)
            return
        shares = self._shares.get(revision)
        if shares is None:
            shares = self._shares[revision] = Shares(backend.concurrency, self._gateways)
            self._told[revision] = {}
            for gateway in self._connected:
                shares.joined(gateway, known=self._gateways[gateway])
        now = self._clock.monotonic()
        shares.resize([endpoint.address for endpoint in backend.endpoints if not endpoint.draining], now)
        self._backends[revision] = backend
        self._settle(revision)

    def joined(self, gateway: str, *, fresh: bool) -> None:
        """It can be told things from now on. `fresh`: it has nothing yet."""
        self._ended.discard(gateway)
        known = self._gateways.setdefault(gateway, fresh)
        self._connected.add(gateway)
        for revision, shares in self._shares.items():
            shares.joined(gateway, known=known)
            self._settle(revision)

    def left(self, gateway: str) -> None:
        """Its connection is lost. It goes on with what it has."""
        self._connected.discard(gateway)
        for revision, shares in self._shares.items():
            shares.left(gateway)
            self._settle(revision)

    def ended(self, gateway: str) -> None:
        """Its process has ended. Another one has another name."""
        self._ended.add(gateway)
        self._gateways.pop(gateway, None)
        self._connected.discard(gateway)
        self._snapshot.forget(gateway)
        for revision, shares in self._shares.items():
            self._told[revision].pop(gateway, None)
            shares.ended(gateway)
            self._settle(revision)

    def report(self, report: LoadReport) -> None:
        """What a gate says of a revision."""
        shares = self._shares.get(report.revision)
        if shares is not None and report.gateway not in self._ended:
            shares.report(report)
            if not shares.is_settled:
                self._settle(report.revision)

    def _settle(self, revision: Key) -> None:
        """Move what is to be moved, and tell those for whom that makes a difference."""
        shares, backend, told = self._shares[revision], self._backends[revision], self._told[revision]
        shares.move(self._clock.monotonic())
        for gateway in self._connected:
            wanted = backend, shares.grants(gateway)
            if told.get(gateway) != wanted:
                told[gateway] = wanted
                message = cluster.build_endpoints(revision, *wanted)
                self._snapshot.put_own(packed(cluster.cluster_name(revision), revision, message), gateway)

    def _drop(self, revision: Key) -> None:
        if self._shares.pop(revision, None) is None:
            return
        del self._backends[revision]
        for gateway in self._told.pop(revision):
            self._snapshot.drop_own(ENDPOINTS, cluster.cluster_name(revision), gateway)
