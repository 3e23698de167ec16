# SPDX-License-Identifier: Apache-2.0
"""Divides the slots of a revision's instances among the gateways, so that together they never exceed the container
concurrency, and moves slots when the load moves.

In: the gates' reports, which gateways exist, and which instances. Out: `Shares.grants`, the shares to send to each
gateway. Pure: it has no clock and sends nothing. Called by: `sharing.py`.

A slot is free for another gateway only when nobody holds it (`holdings.py`). So a share is lowered first. Another is
raised once the gate has reported the lower share, and the requests above it have ended.

| gateway | holds |
| --- | --- |
| new | nothing |
| started by an earlier control plane, and has not reported the revision yet | everything |
| disconnected, its process runs | what it held |
| its process has ended | nothing |
"""

import math
from collections.abc import Collection, Iterator, Mapping

from tidegate.gateway.publisher.dues import Balance, dues
from tidegate.gateway.publisher.holdings import NO_SHARE, Holder
from tidegate.model.load import LoadReport, SlotShare

PACE = 0.5
"""Seconds between two moves of a slot from one busy gateway to another."""

_WORTH = 0.75  # slots; a busy gateway that lacks less than that gets none from another busy one
_PATIENCE = 1.0  # seconds to wait for a lowered slot; after that a long request holds it, and another slot is moved


def _batch(slots: int) -> int:
    """How many of these slots to deal out in one step: an eighth, so that the last ones are dealt out one by one."""
    return math.ceil(slots / 8)


class Shares:
    """The shares of one revision. `gateways`: all that may exist, and whether it is known what they hold."""

    def __init__(self, concurrency: int, gateways: Mapping[str, bool]) -> None:
        self._concurrency = concurrency
        self._hosts: tuple[str, ...] = ()
        self._gateways = {name: Holder(known) for name, known in gateways.items()}
        self._moved_at = -math.inf
        self.is_settled = False  # no report can move a slot: a single gateway has all of them
        # No version is sent twice: else an old report about an instance that was removed and added again would count.
        self._version = 0

    def resize(self, hosts: Collection[str], now: float) -> None:
        """Use these instances from now on, by address. A gateway that still holds a part of an instance which is back
        gets its share again, because its gate may be about to report that it has forgotten the instance."""
        self.is_settled = False
        back = set(hosts).difference(self._hosts)
        self._hosts = tuple(sorted(hosts))
        for name in self._gateways:
            self._resend(name, back, now)

    def joined(self, gateway: str, *, known: bool) -> None:
        """The gateway is connected. `known`: if the gateway is new here, whether it surely holds nothing."""
        self.is_settled = False
        self._gateways.setdefault(gateway, Holder(known)).connected = True

    def left(self, gateway: str) -> None:
        """The gateway is disconnected. It continues with what it holds."""
        self.is_settled = False
        if gateway in self._gateways:
            self._gateways[gateway].connected = False

    def ended(self, gateway: str) -> None:
        """The process has ended: it holds nothing."""
        self.is_settled = False
        self._gateways.pop(gateway, None)

    def report(self, report: LoadReport) -> None:
        """Take in a gate's report."""
        gateway = self._gateways.setdefault(report.gateway, Holder(known=False))
        was_known = gateway.known
        self._version = max([self._version, *[share.version for share in (report.shares or {}).values()]])
        gateway.report(report, self._hosts)
        if len(self._gateways) > 1 or gateway.known != was_known:
            self.is_settled = False
        if gateway.known and not was_known:  # its shares are from another control plane, which may have revoked them
            self._resend(report.gateway, set(self._hosts), report.time)

    def grants(self, gateway: str) -> dict[str, SlotShare]:
        """The shares to send to that gateway, by instance."""
        holdings = self._gateways[gateway].holdings
        return {host: holdings[host].newest if host in holdings else NO_SHARE for host in self._hosts}

    def held(self, host: str) -> int:
        """How many slots of that instance the gateways may use now."""
        return sum(gateway.most(host, self._concurrency) for gateway in self._gateways.values())

    def move(self, now: float) -> None:
        """Give free slots to gateways, and lower the shares of gateways that have more than others need."""
        balance = self._balance()
        if not balance.has:
            return
        self._give(balance, now)
        if len(self._gateways) == 1:
            self.is_settled = sum(balance.has.values()) == self._concurrency * len(self._hosts)
            return
        contested = now - self._moved_at >= PACE
        for name, wanted in self._wanting(balance, now):
            left = wanted
            while left > 0 and (giver := self._giver(name, balance, contested=contested)) is not None:
                left -= self._take(giver, left, balance, now)

    def _balance(self) -> Balance:
        connected = {name: gateway for name, gateway in self._gateways.items() if gateway.connected}
        has = {name: gateway.slots(self._hosts) for name, gateway in connected.items()}
        others = [gateway for gateway in self._gateways.values() if not gateway.connected]
        slots = sum(
            max(self._concurrency - sum(other.most(host, self._concurrency) for other in others), 0)
            for host in self._hosts
        )
        loads = {name: gateway.load for name, gateway in connected.items()}
        return Balance(has, dues(loads, slots) if connected else {})

    def _give(self, balance: Balance, now: float) -> None:
        """Give each free slot to the gateway that lacks most; among equals, to the one that got none for longest."""
        for host in self._hosts:
            wanted = {name: self._gateways[name].holding(host).newest.slots for name in balance.has}
            before = dict(wanted)
            free = self._concurrency - self.held(host)
            while free > 0:
                name = max(
                    balance.has,
                    key=lambda each: (balance.short(each), -self._gateways[each].raised_at, -wanted[each], each),
                )
                count = _batch(free)
                free -= count
                wanted[name] += count
                balance.has[name] += count
                self._gateways[name].raised_at = now
            for name in wanted:
                if wanted[name] != before[name]:
                    self._send(name, host, wanted[name], now)

    def _wanting(self, balance: Balance, now: float) -> Iterator[tuple[str, int]]:
        """The gateways whose requests wait and that have fewer slots than they are due, and how many slots to take from
        others for each, besides the slots that are already on their way."""
        coming = sum(
            self._gateways[name].most(host, self._concurrency) - holding.newest.slots
            for name in balance.has
            for host in self._hosts
            if now - (holding := self._gateways[name].holding(host)).lowered_at < _PATIENCE
        )
        for name in sorted(balance.has, key=balance.short, reverse=True):
            short = balance.short(name)
            if not self._gateways[name].queued or not (short >= _WORTH or (short > 0 and balance.has[name] == 0)):
                continue
            wanted = max(math.floor(short + 1 - _WORTH), 1)
            yield name, max(wanted - coming, 0)
            coming = max(coming - wanted, 0)

    def _giver(self, taker: str, balance: Balance, *, contested: bool) -> str | None:
        """The gateway to take a slot from: the one with the largest surplus; among equals, the one that got its slots
        first."""
        able = [
            name
            for name, has in balance.has.items()
            if has > 0 and balance.short(name) < 0 and self._spares(name, taker, balance, contested=contested)
        ]
        return min(able, key=lambda name: (balance.short(name), self._gateways[name].raised_at, name), default=None)

    def _spares(self, name: str, taker: str, balance: Balance, *, contested: bool) -> bool:
        """Whether to take a slot from that gateway. Idle slots are taken at once. Slots in use are taken at a limited
        pace (`contested`), and only where it makes a difference."""
        if balance.has[name] > self._gateways[name].load:
            return True
        if balance.has[taker] == 0:
            return balance.has[name] > 1 or contested
        return contested and balance.short(name) <= -_WORTH

    def _take(self, name: str, wanted: int, balance: Balance, now: float) -> int:
        """Take slots of one instance from a gateway, and return how many. Idle slots come first: they are free at
        once."""
        gateway = self._gateways[name]
        idle = balance.has[name] - gateway.load
        count = min(_batch(wanted), math.floor(-balance.short(name)))
        if idle > 0:
            count = min(count, idle)
        else:
            self._moved_at = now
        host = max(
            (host for host in self._hosts if gateway.holding(host).newest.slots),
            key=lambda host: (gateway.holding(host).newest.slots - gateway.holding(host).requests, host),
        )
        slots = gateway.holding(host).newest.slots
        count = min(max(count, 1), slots)
        self._send(name, host, slots - count, now)
        balance.has[name] -= count
        return count

    def _resend(self, name: str, hosts: set[str], now: float) -> None:
        holdings = self._gateways[name].holdings
        for host in hosts & holdings.keys():
            self._send(name, host, holdings[host].newest.slots, now)

    def _send(self, name: str, host: str, slots: int, now: float) -> None:
        self._version += 1
        self._gateways[name].holding(host).send(SlotShare(self._version, slots), now)
