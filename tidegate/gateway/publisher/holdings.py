# SPDX-License-Identifier: Apache-2.0
"""What each gateway holds: the slots of each instance that its gate may use. Called by: `shares.py`.

A gateway holds the most of: the share that its gate reported last, any share that was sent since, and the requests that
run there.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from tidegate.model.load import LoadReport, SlotShare

NO_SHARE = SlotShare(0, 0)
_DELIVERY_SECONDS = 60.0  # a share that was sent for a deleted instance cannot arrive any later


@dataclass(slots=True)
class Holding:
    """One gateway's part of one instance. `reported`: by its gate; `sent`: to the gate since then, the newest last."""

    reported: SlotShare = NO_SHARE
    sent: list[SlotShare] = field(default_factory=list)
    requests: int = 0
    sent_at: float = -math.inf
    lowered_at: float = -math.inf

    @property
    def newest(self) -> SlotShare:
        return self.sent[-1] if self.sent else self.reported

    @property
    def most(self) -> int:
        """The slots that the gate may use now."""
        most = max(self.reported.slots, self.requests)
        return max(most, *[share.slots for share in self.sent]) if self.sent else most

    def send(self, share: SlotShare, now: float) -> None:
        if share.slots < self.newest.slots:
            self.lowered_at = now
        self.sent_at = now
        self.sent.append(share)

    def report(self, reported: SlotShare, requests: int) -> None:
        self.reported, self.requests = reported, requests
        self.sent = [share for share in self.sent if share.version > reported.version]


@dataclass(slots=True)
class Holder:
    """One gateway. `known`: whether its holdings are known; until then it counts as holding everything."""

    known: bool
    connected: bool = False
    in_flight: int = 0
    queued: int = 0
    raised_at: float = -math.inf
    holdings: dict[str, Holding] = field(default_factory=dict)  # by instance

    @property
    def load(self) -> int:
        return self.in_flight + self.queued

    def holding(self, host: str) -> Holding:
        found = self.holdings.get(host)
        if found is None:
            found = self.holdings[host] = Holding()
        return found

    def most(self, host: str, concurrency: int) -> int:
        """The slots of that instance that the gate may use now."""
        if not self.known:
            return concurrency
        return self.holdings[host].most if host in self.holdings else 0

    def slots(self, hosts: Iterable[str]) -> int:
        """The slots of these instances that it was given."""
        return sum(self.holding(host).newest.slots for host in hosts)

    def report(self, report: LoadReport, hosts: Iterable[str]) -> None:
        """Take in a report. `hosts`: the instances that exist. A gate that reports no shares may use all slots."""
        self.in_flight, self.queued = report.in_flight, report.queued
        self.known = report.shares is not None
        shares = report.shares or {}
        for host in self.holdings.keys() | shares.keys():
            self.holding(host).report(shares.get(host, NO_SHARE), report.hosts.get(host, 0))
        for host in self.holdings.keys() - shares.keys() - set(hosts):
            holding = self.holdings[host]
            if not holding.sent or report.time - holding.sent_at > _DELIVERY_SECONDS:
                del self.holdings[host]
