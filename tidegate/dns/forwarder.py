# SPDX-License-Identifier: Apache-2.0
"""Asks the host's name servers for names that are not of this cluster.

In: a query of a Pod. Out: the answer of the first name server that gives one, else None. Called by: `server.py`.

Each question has an id and a port of its own, and only an answer of the server that was asked counts (dnspython), so
that a forged answer has to guess both.
"""

import secrets

import dns.asyncquery
import dns.exception
import dns.flags
import dns.message
import dns.rcode

from tidegate.dns.resolvers import HostResolvers

_TRY_SECONDS = 2.0
_ROUNDS = 2  # the resolver in a Pod asks again after 5 s
_UNABLE = (dns.rcode.SERVFAIL, dns.rcode.REFUSED, dns.rcode.NOTIMP)


async def forward(query: dns.message.Message, resolvers: HostResolvers, *, tcp: bool) -> dns.message.Message | None:
    """The answer, with the id of the query; by UDP it may be truncated."""
    question = dns.message.from_wire(query.to_wire())  # a copy: another query may wait with the same message
    question.id = secrets.randbits(16)
    question.flags |= dns.flags.RD
    last = None
    for _ in range(_ROUNDS):
        for server in resolvers.servers:
            answer = await _ask(question, server, resolvers.port, tcp=tcp)
            if answer is not None:
                answer.id, last = query.id, answer
                if answer.rcode() not in _UNABLE:
                    return answer
        if last is not None:
            return last
    return None


async def _ask(question: dns.message.Message, server: str, port: int, *, tcp: bool) -> dns.message.Message | None:
    try:
        if tcp:
            return await dns.asyncquery.tcp(question, server, _TRY_SECONDS, port)
        return await dns.asyncquery.udp(
            question, server, _TRY_SECONDS, port, ignore_unexpected=True, ignore_errors=True, ignore_trailing=True
        )
    except (OSError, EOFError, dns.exception.DNSException):  # no answer in time, no connection, a malformed answer
        return None
