# SPDX-License-Identifier: Apache-2.0
"""How many slots of each instance of one revision each gateway has, so that all of them together never have more than
the container concurrency, and how that follows load.

In: what the gates say (`Shares.report`), which gateways there are, which instances. Out: `Shares.grants`, what each
gateway is to be told. Pure: no clock, nothing sent; `sharing.py` calls it.

A gateway holds of an instance the most that it may make use of: what its gate last said, whatever it was told since,
and the requests that run there. A slot is free for another one only when nobody holds it, so a share is lowered first,
and another raised once the gate has said that it obeys and that what ran above the share has ended.

| gateway | holds |
| --- | --- |
| new | nothing |
| was there before this control plane, and has not told of the revision | everything |
| connection lost, its process lives | what it held |
| its process has ended | nothing |
"""

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from tidegate.model.load import LoadReport, Share

PACE = 0.5  # seconds between two moves from one gateway with requests that wait to another
_WORTH = 0.75  # slots; what is nearer to its due than that stays as it is between gateways that are all busy
_PATIENCE = 1.0  # seconds after which a slot that is still held by long requests is not waited for any more
_UNDER_WAY = 60.0  # seconds after which nothing that a gateway was told of an instance that is gone can still reach it


def dues(loads: Mapping[str, int], slots: int) -> dict[str, float]:
    """Of so many slots, what each gateway is due by its load (requests that run and wait there), not rounded.

    | slots | a gateway is due |
    | --- | --- |
    | enough for all requests | as many as it has requests, and the same part of what is left |
    | fewer | its part of all requests, but one where it has any |
    | fewer than gateways with requests | the same as each of those |
    """
    total = sum(loads.values())
    if total <= slots:
        return {name: load + (slots - total) / len(loads) for name, load in loads.items()}
    busy = {name: load for name, load in loads.items() if load}
    due = dict.fromkeys(loads, 0.0)
    if slots <= len(busy):
        return due | dict.fromkeys(busy, slots / len(busy))
    while small := [name for name, load in busy.items() if load * slots < sum(busy.values())]:
        due |= dict.fromkeys(small, 1.0)
        slots -= len(small)
        for name in small:
            del busy[name]
    return due | {name: load * slots / sum(busy.values()) for name, load in busy.items()}


_NONE = Share(0, 0)


def _some(slots: int) -> int:
    """So many of them are dealt out at a time: of a few one, so that the last ones are dealt out exactly."""
    return math.ceil(slots / 8)


@dataclass(slots=True)
class _Hold:
    """One gateway's part of one instance. `said`: by its gate; `told`: to it since then, the newest last."""

    said: Share = _NONE
    told: list[Share] = field(default_factory=list)
    requests: int = 0
    changed: float = -math.inf  # when it was told last
    lowered: float = -math.inf

    @property
    def newest(self) -> Share:
        return self.told[-1] if self.told else self.said

    @property
    def most(self) -> int:
        most = max(self.said.slots, self.requests)
        return max(most, *[share.slots for share in self.told]) if self.told else most

    def tell(self, share: Share, now: float) -> None:
        if share.slots < self.newest.slots:
            self.lowered = now
        self.changed = now
        self.told.append(share)

    def hear(self, said: Share, requests: int) -> None:
        self.said, self.requests = said, requests
        self.told = [share for share in self.told if share.version > said.version]


@dataclass(slots=True)
class _Gateway:
    known: bool  # what it holds: of one that is not, everything
    connected: bool = False
    in_flight: int = 0
    queued: int = 0
    raised: float = -math.inf
    holds: dict[str, _Hold] = field(default_factory=dict)

    @property
    def load(self) -> int:
        return self.in_flight + self.queued

    def hold(self, host: str) -> _Hold:
        found = self.holds.get(host)
        if found is None:
            found = self.holds[host] = _Hold()
        return found


class _Balance(NamedTuple):
    """Of the gateways that can be told anything: what each has, and what it is due."""

    has: dict[str, int]
    due: dict[str, float]

    def short(self, name: str) -> float:
        return round(self.due[name] - self.has[name], 6)


class Shares:
    """Those of one revision. `gateways`: all that there may be, and whether it is known what they hold."""

    def __init__(self, concurrency: int, gateways: Mapping[str, bool]) -> None:
        self._concurrency = concurrency
        self._hosts: tuple[str, ...] = ()
        self._gateways = {name: _Gateway(known) for name, known in gateways.items()}
        self._moved = -math.inf
        self.is_settled = False  # nothing that a gate says of its load can move a slot: one gateway has them all
        self._version = 0  # none is told twice: else a gate's old word on an instance that went and came would count

    def resize(self, hosts: Collection[str], now: float) -> None:
        """These are the instances from now on, by address. Who still has a part of one that is back is told so anew,
        since its gate may be about to say that it knows it no more."""
        self.is_settled = False
        back = set(hosts).difference(self._hosts)
        self._hosts = tuple(sorted(hosts))
        for name in self._gateways:
            self._tell_anew(name, back, now)

    def joined(self, gateway: str, *, known: bool) -> None:
        """It can be told. `known`: it is new, so that it holds nothing, if it was never heard of."""
        self.is_settled = False
        self._gateways.setdefault(gateway, _Gateway(known)).connected = True

    def left(self, gateway: str) -> None:
        """It cannot be told for now, and goes on with what it has."""
        self.is_settled = False
        if gateway in self._gateways:
            self._gateways[gateway].connected = False

    def ended(self, gateway: str) -> None:
        """Its process has ended: it holds nothing any more."""
        self.is_settled = False
        self._gateways.pop(gateway, None)

    def report(self, report: LoadReport) -> None:
        """Take in what a gate says. One that says nothing of shares may use everything as yet."""
        gateway = self._gateways.setdefault(report.gateway, _Gateway(known=False))
        gateway.in_flight, gateway.queued = report.in_flight, report.queued
        was_known, gateway.known = gateway.known, report.shares is not None
        shares = report.shares or {}
        self._version = max([self._version, *[share.version for share in shares.values()]])
        for host in gateway.holds.keys() | shares.keys():
            gateway.hold(host).hear(shares.get(host, _NONE), report.hosts.get(host, 0))
        for host in gateway.holds.keys() - shares.keys() - set(self._hosts):
            hold = gateway.holds[host]
            if not hold.told or report.time - hold.changed > _UNDER_WAY:
                del gateway.holds[host]
        if len(self._gateways) > 1 or gateway.known != was_known:
            self.is_settled = False
        if gateway.known and not was_known:  # what it has is from another control plane, which may have taken it away
            self._tell_anew(report.gateway, set(self._hosts), report.time)

    def grants(self, gateway: str) -> dict[str, Share]:
        """What that gateway is to be told, by instance."""
        holds = self._gateways[gateway].holds
        return {host: holds[host].newest if host in holds else _NONE for host in self._hosts}

    def held(self, host: str) -> int:
        """Slots of that instance that somebody may make use of."""
        return sum(self._most(gateway, host) for gateway in self._gateways.values())

    def _most(self, gateway: _Gateway, host: str) -> int:
        if not gateway.known:
            return self._concurrency
        return gateway.holds[host].most if host in gateway.holds else 0

    def move(self, now: float) -> None:
        """Give out what is free, and lower the shares of those who have more than others need."""
        balance = self._balance()
        if not balance.has:
            return
        self._give(balance, now)
        if len(self._gateways) == 1:
            self.is_settled = sum(balance.has.values()) == self._concurrency * len(self._hosts)
            return
        contested = now - self._moved >= PACE
        for name, wanted in self._wanting(balance, now):
            left = wanted
            while left > 0 and (giver := self._giver(name, balance, contested=contested)) is not None:
                left -= self._take(giver, left, balance, now)

    def _balance(self) -> _Balance:
        told = {name: gateway for name, gateway in self._gateways.items() if gateway.connected}
        has = {name: sum(gateway.hold(host).newest.slots for host in self._hosts) for name, gateway in told.items()}
        others = [gateway for gateway in self._gateways.values() if not gateway.connected]
        slots = sum(
            max(self._concurrency - sum(self._most(other, host) for other in others), 0) for host in self._hosts
        )
        return _Balance(has, dues({name: gateway.load for name, gateway in told.items()}, slots) if told else {})

    def _give(self, balance: _Balance, now: float) -> None:
        """Each free slot to the one that lacks most; of equals to who got none for the longest time."""
        for host in self._hosts:
            wanted = {name: self._gateways[name].hold(host).newest.slots for name in balance.has}
            before = dict(wanted)
            free = self._concurrency - self.held(host)
            while free > 0:
                name = max(
                    balance.has,
                    key=lambda each: (balance.short(each), -self._gateways[each].raised, -wanted[each], each),
                )
                count = _some(free)
                free -= count
                wanted[name] += count
                balance.has[name] += count
                self._gateways[name].raised = now
            for name in wanted:
                if wanted[name] != before[name]:
                    self._tell(name, host, wanted[name], now)

    def _wanting(self, balance: _Balance, now: float) -> Iterator[tuple[str, int]]:
        """Those with requests that wait and less than they are due, and how many slots each of them is to get besides
        those that are on their way."""
        coming = sum(
            self._most(self._gateways[name], host) - hold.newest.slots
            for name in balance.has
            for host in self._hosts
            if now - (hold := self._gateways[name].hold(host)).lowered < _PATIENCE
        )
        for name in sorted(balance.has, key=balance.short, reverse=True):
            short = balance.short(name)
            if not self._gateways[name].queued or not (short >= _WORTH or (short > 0 and balance.has[name] == 0)):
                continue
            wanted = max(math.floor(short + 1 - _WORTH), 1)
            yield name, max(wanted - coming, 0)
            coming = max(coming - wanted, 0)

    def _giver(self, taker: str, balance: _Balance, *, contested: bool) -> str | None:
        """Who has more than it is due and can do without, the one with most; of equals, who has had it longest."""
        able = [
            name
            for name, has in balance.has.items()
            if has > 0 and balance.short(name) < 0 and self._spares(name, taker, balance, contested=contested)
        ]
        return min(able, key=lambda name: (balance.short(name), self._gateways[name].raised, name), default=None)

    def _spares(self, name: str, taker: str, balance: _Balance, *, contested: bool) -> bool:
        """Idle slots are given at once; those in use now and then (`contested`), where it makes a difference."""
        if balance.has[name] > self._gateways[name].load:
            return True
        if balance.has[taker] == 0:
            return balance.has[name] > 1 or contested
        return contested and balance.short(name) <= -_WORTH

    def _take(self, name: str, wanted: int, balance: _Balance, now: float) -> int:
        """Some slots of one instance: where they are idle, if they are anywhere, since then they are free at once. How
        many those are."""
        gateway = self._gateways[name]
        idle = balance.has[name] - gateway.load
        count = min(_some(wanted), math.floor(-balance.short(name)))
        if idle > 0:
            count = min(count, idle)
        else:
            self._moved = now
        host = max(
            (host for host in self._hosts if gateway.hold(host).newest.slots),
            key=lambda host: (gateway.hold(host).newest.slots - gateway.hold(host).requests, host),
        )
        slots = gateway.hold(host).newest.slots
        count = min(max(count, 1), slots)
        self._tell(name, host, slots - count, now)
        balance.has[name] -= count
        return count

    def _tell_anew(self, name: str, hosts: set[str], now: float) -> None:
        for host in hosts & self._gateways[name].holds.keys():
            self._tell(name, host, self._gateways[name].holds[host].newest.slots, now)

    def _tell(self, name: str, host: str, slots: int, now: float) -> None:
        self._version += 1
        self._gateways[name].hold(host).tell(Share(self._version, slots), now)
