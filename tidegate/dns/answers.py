# SPDX-License-Identifier: Apache-2.0
"""Answers to DNS queries, as messages.

In: the bytes of a query. Out: the query (`parse`), an answer (`answer`), or the bytes of one (`encoded`). Pure. Called
by: `server.py`.

| query | answer |
| --- | --- |
| shorter than a header, or itself an answer | none: two servers would answer each other for ever |
| malformed, or not of one question | FORMERR |
| not of the kind QUERY, a zone transfer | NOTIMP |
| of another class than IN | REFUSED |
| for a HOST | its address for A (and ANY); no record for other types |
| for a PARENT | no record |
| for an UNKNOWN name | NXDOMAIN |
"""

import functools

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from tidegate.dns.names import CLUSTER_DOMAIN, NameKind

SECONDS = 5
"""How long resolvers may keep an answer about a name of the cluster, as in CoreDNS."""

_OPCODE = 0x78  # in the third byte
_MOST_OTHERS = 2  # additional records of a query: OPT, and a signature
_PAYLOAD = 1232  # bytes of an answer by UDP, at most: what every network takes without fragments
_HEADER = 12
_IS_ANSWER = 0x80
_SERVER, _CONTACT = f"ns.dns.{CLUSTER_DOMAIN}.", f"hostmaster.{CLUSTER_DOMAIN}."
_SOA = dns.rrset.from_text(  # the last number: how long resolvers may keep that a name does not exist
    f"{CLUSTER_DOMAIN}.", SECONDS, "IN", "SOA", f"{_SERVER} {_CONTACT} 1 7200 1800 86400 {SECONDS}"
)
_TRANSFERS = (dns.rdatatype.AXFR, dns.rdatatype.IXFR)


class Rejected(Exception):
    """A query without a question that can be answered. `answer`: None for no answer at all."""

    def __init__(self, answer: bytes | None) -> None:
        super().__init__("rejected")
        self.answer = answer


def parse(wire: bytes) -> dns.message.Message:
    """Raises `Rejected`."""
    if len(wire) < _HEADER or wire[2] & _IS_ANSWER:
        raise Rejected(None)
    questions, answers, authorities, others = (int.from_bytes(wire[at : at + 2]) for at in range(4, _HEADER, 2))
    if questions != 1 or answers or authorities or others > _MOST_OTHERS:  # before it is parsed: that takes time
        raise Rejected(_bare(wire, dns.rcode.NOTIMP if wire[2] & _OPCODE else dns.rcode.FORMERR))
    try:
        query = dns.message.from_wire(wire, ignore_trailing=True)
    except (dns.exception.DNSException, ValueError) as error:
        raise Rejected(_bare(wire, dns.rcode.FORMERR)) from error
    if query.opcode() != dns.opcode.QUERY:
        raise Rejected(_bare(wire, dns.rcode.NOTIMP))
    if len(query.question) != 1:
        raise Rejected(_bare(wire, dns.rcode.FORMERR))
    (question,) = query.question
    if question.rdtype in _TRANSFERS:
        raise Rejected(failure(query, dns.rcode.NOTIMP).to_wire())
    if question.rdclass != dns.rdataclass.IN:
        raise Rejected(failure(query, dns.rcode.REFUSED).to_wire())
    return query


def name_of(query: dns.message.Message) -> str:
    """The name in question, in lower case and without the final dot."""
    return query.question[0].name.to_text(omit_final_dot=True).lower()


def answer(query: dns.message.Message, kind: NameKind, address: str) -> dns.message.Message:
    """The answer for a name of the cluster. `address`: of its hosts."""
    (question,) = query.question
    response = _response(query)
    response.flags |= dns.flags.AA
    if kind is NameKind.HOST and question.rdtype in (dns.rdatatype.A, dns.rdatatype.ANY):
        response.answer.append(dns.rrset.from_rdata(question.name, SECONDS, _record(address)))
        return response
    if kind is NameKind.UNKNOWN:
        response.set_rcode(dns.rcode.NXDOMAIN)
    response.authority.append(_SOA)
    return response


def failure(query: dns.message.Message, code: dns.rcode.Rcode) -> dns.message.Message:
    response = _response(query)
    response.set_rcode(code)
    return response


def encoded(response: dns.message.Message, query: dns.message.Message, *, tcp: bool) -> bytes:
    """The bytes for the sender of the query. By UDP an answer that is too long is cut, which makes the resolver repeat
    the query by TCP."""
    size = 65535 if tcp else min(max(query.payload, 512), _PAYLOAD)
    return response.to_wire(max_size=size, prefer_truncation=True)


@functools.cache
def _record(address: str) -> dns.rdata.Rdata:
    return dns.rdata.from_text(dns.rdataclass.IN, dns.rdatatype.A, address)


def _response(query: dns.message.Message) -> dns.message.Message:
    return dns.message.make_response(query, recursion_available=True, our_payload=_PAYLOAD)


def _bare(wire: bytes, code: int) -> bytes:
    """An answer without a question, for a query that cannot be read."""
    return wire[:2] + bytes([wire[2] & 0x79 | _IS_ANSWER, 0x80 | code]) + bytes(8)
