# SPDX-License-Identifier: Apache-2.0
"""Answers one query after the other, within limits for each Pod.

In: bytes and the sender's address. Out: bytes of an answer, or None for no answer. Called by: `listening.py`.

| limit | value | beyond it |
| --- | --- | --- |
| queries of one Pod that wait for the host's name servers | 100 | dropped; the Pod's resolver asks again |
| the same of all Pods | 2,000 | dropped |
| queries of one Pod | 500 a second (`network/firewall.py`) | dropped by the kernel |
"""

import asyncio
from collections import Counter
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network

import dns.message
import dns.rcode
import structlog

from tidegate.dns import answers
from tidegate.dns.forwarder import forward
from tidegate.dns.names import ClusterNames, NameKind
from tidegate.dns.resolvers import HostResolvers

WAITING_OF_ONE, WAITING = 100, 2000
_log = structlog.get_logger("dns")
_SYNC_SECONDS = 3.0  # for the names of the cluster, at a start


class QueryResult(StrEnum):
    """How a query ended, in metrics."""

    ANSWERED = "answered"
    UNKNOWN = "unknown"
    FORWARDED = "forwarded"
    FAILED = "failed"
    REJECTED = "rejected"
    LIMITED = "limited"


class DnsServer:
    """Answers Pods of this subnet. `gateway`: the address of all hosts of the cluster."""

    def __init__(
        self, names: ClusterNames, resolvers: HostResolvers, subnet: IPv4Network, gateway: IPv4Address
    ) -> None:
        self._names = names
        self._resolvers = resolvers
        self._subnet = subnet
        self._gateway = gateway
        self._waiting: Counter[str] = Counter()
        self.results: Counter[QueryResult] = Counter()

    async def answer(self, wire: bytes, client: str, *, tcp: bool) -> bytes | None:
        """The answer for a client; None for no answer."""
        if not self._is_pod(client):
            self.results[QueryResult.REJECTED] += 1
            return None
        try:
            query = answers.parse(wire)
        except answers.Rejected as rejected:
            self.results[QueryResult.REJECTED] += 1
            return rejected.answer
        if self._waiting[client] >= WAITING_OF_ONE or self._waiting.total() >= WAITING:
            self.results[QueryResult.LIMITED] += 1
            return None
        self._waiting[client] += 1
        try:
            response = await self._response(query, tcp=tcp)
            return answers.encoded(response, query, tcp=tcp) if response is not None else None
        except Exception:  # one query, with data from outside, must not end the part
            self.results[QueryResult.FAILED] += 1
            _log.exception("a query cannot be answered")
            return None
        finally:
            self._waiting[client] -= 1
            if not self._waiting[client]:
                del self._waiting[client]

    async def _response(self, query: dns.message.Message, *, tcp: bool) -> dns.message.Message | None:
        try:
            async with asyncio.timeout(_SYNC_SECONDS):
                await self._names.synced()
        except TimeoutError:  # the resolver asks again
            self.results[QueryResult.FAILED] += 1
            return None
        kind = self._names.kind(answers.name_of(query))
        if kind is not NameKind.FOREIGN:
            known = kind is not NameKind.UNKNOWN
            self.results[QueryResult.ANSWERED if known else QueryResult.UNKNOWN] += 1
            return answers.answer(query, kind, str(self._gateway))
        forwarded = await forward(query, self._resolvers, tcp=tcp)
        self.results[QueryResult.FAILED if forwarded is None else QueryResult.FORWARDED] += 1
        return answers.failure(query, dns.rcode.SERVFAIL) if forwarded is None else forwarded

    def _is_pod(self, client: str) -> bool:
        address = IPv4Address(client)
        return address in self._subnet and address != self._gateway
