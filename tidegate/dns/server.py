# SPDX-License-Identifier: Apache-2.0
"""Answers one query after the other, within limits for each Pod.

In: bytes and the sender's address. Out: bytes of an answer, or None for no answer. Called by: `listening.py`.

An answer about a name of the cluster is kept with the bytes of its query, because making one takes 0.3 ms, and
resolvers repeat the same queries.

| limit | value | beyond it |
| --- | --- | --- |
| queries of one Pod whose answer is not kept | 300 a second | dropped; the Pod's resolver asks again |
| queries of one Pod that wait for the host's name servers | 100 | dropped |
| the same of all Pods | 2,000 | dropped |
| queries of one Pod | 3,000 a second (`network/firewall.py`) | dropped by the kernel |
"""

import asyncio
from collections import Counter
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network
from typing import NamedTuple

import dns.message
import dns.rcode
import structlog

from tidegate.dns import answers
from tidegate.dns.forwarder import forward
from tidegate.dns.names import ClusterNames, NameKind
from tidegate.dns.rates import Rates
from tidegate.dns.resolvers import HostResolvers
from tidegate.kit.clock import Clock

NEW_OF_ONE = 300
"""Queries of one Pod in a second, at most, that are not answered before."""

WAITING_OF_ONE, WAITING = 100, 2000
"""Queries that wait for the host's name servers, at most."""

_KEPT = 4096  # answers
_LONGEST_KEPT = 300  # bytes of a query
_SYNC_SECONDS = 3.0  # for the names of the cluster, at a start
_log = structlog.get_logger("dns")


class QueryResult(StrEnum):
    """How a query ended, in metrics."""

    ANSWERED = "answered"
    UNKNOWN = "unknown"
    FORWARDED = "forwarded"
    FAILED = "failed"
    REJECTED = "rejected"
    LIMITED = "limited"


class _Kept(NamedTuple):
    """An answer without its id. It holds as long as the name is of that kind."""

    name: str
    kind: NameKind
    wire: bytes


class DnsServer:
    """Answers Pods of this subnet. `gateway`: the address of all hosts of the cluster."""

    def __init__(
        self,
        names: ClusterNames,
        resolvers: HostResolvers,
        subnet: IPv4Network,
        gateway: IPv4Address,
        clock: Clock,
    ) -> None:
        self._names = names
        self._resolvers = resolvers
        self._gateway = str(gateway)
        self._clock = clock
        self._subnet = subnet
        self._kept: dict[bytes, _Kept] = {}
        self._rates = Rates(NEW_OF_ONE)
        self._waiting: Counter[str] = Counter()
        self.results: Counter[QueryResult] = Counter()

    def kept_answer(self, wire: bytes, client: str) -> bytes | None:
        """An answer that is known already."""
        kept = self._kept.get(wire[2:])
        if kept is None or not self._is_pod(client) or self._names.kind(kept.name) is not kept.kind:
            return None
        self._count(kept.kind)
        return wire[:2] + kept.wire

    async def answer(self, wire: bytes, client: str, *, tcp: bool) -> bytes | None:
        """The answer for a client; None for no answer."""
        if not self._is_pod(client):
            self.results[QueryResult.REJECTED] += 1
            return None
        if not self._rates.take(client, self._clock.monotonic()):
            self.results[QueryResult.LIMITED] += 1
            return None
        try:
            query = answers.parse(wire)
            return await self._of_cluster(wire, query, tcp=tcp) or await self._of_host(query, client, tcp=tcp)
        except answers.Rejected as rejected:
            self.results[QueryResult.REJECTED] += 1
            return rejected.answer
        except Exception:  # one query, with data from outside, must not end the part
            self.results[QueryResult.FAILED] += 1
            _log.exception("a query cannot be answered")
            return None

    async def _of_cluster(self, wire: bytes, query: dns.message.Message, *, tcp: bool) -> bytes | None:
        """The answer about a name of the cluster; None about any other name."""
        try:
            async with asyncio.timeout(_SYNC_SECONDS):
                await self._names.synced()
        except TimeoutError:
            self.results[QueryResult.FAILED] += 1
            return answers.failure(query, dns.rcode.SERVFAIL).to_wire()
        name = answers.name_of(query)
        kind = self._names.kind(name)
        if kind is NameKind.FOREIGN:
            return None
        self._count(kind)
        encoded = answers.encoded(answers.answer(query, kind, self._gateway), query, tcp=tcp)
        if len(wire) <= _LONGEST_KEPT and not tcp:
            if len(self._kept) >= _KEPT:
                self._kept.clear()
            self._kept[wire[2:]] = _Kept(name, kind, encoded[2:])
        return encoded

    async def _of_host(self, query: dns.message.Message, client: str, *, tcp: bool) -> bytes | None:
        """The answer of the host's name servers."""
        if self._waiting[client] >= WAITING_OF_ONE or self._waiting.total() >= WAITING:
            self.results[QueryResult.LIMITED] += 1
            return None
        self._waiting[client] += 1
        try:
            response = await forward(query, self._resolvers, tcp=tcp)
        finally:
            self._waiting[client] -= 1
            if not self._waiting[client]:
                del self._waiting[client]
        self.results[QueryResult.FORWARDED if response is not None else QueryResult.FAILED] += 1
        return answers.encoded(response or answers.failure(query, dns.rcode.SERVFAIL), query, tcp=tcp)

    def _is_pod(self, client: str) -> bool:
        return client != self._gateway and IPv4Address(client) in self._subnet

    def _count(self, kind: NameKind) -> None:
        self.results[QueryResult.UNKNOWN if kind is NameKind.UNKNOWN else QueryResult.ANSWERED] += 1
