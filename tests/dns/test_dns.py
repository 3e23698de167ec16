# SPDX-License-Identifier: Apache-2.0
"""The name server of Pods over real sockets. Loopback addresses stand for Pods and for the gateway."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import dns.asyncquery
import dns.flags
import dns.message
import dns.opcode
import dns.query
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest

from harness.waiting import eventually
from tidegate.client.informer import Informer
from tidegate.client.memory import MemoryCluster
from tidegate.dns import listening
from tidegate.dns.names import ClusterNames
from tidegate.dns.rates import Rates
from tidegate.dns.resolvers import HostResolvers
from tidegate.dns.server import NEW_OF_ONE, WAITING_OF_ONE, DnsServer, QueryResult
from tidegate.kit.clock import RealClock, VirtualClock
from tidegate.model import indexes, kinds
from tidegate.model.objects import Key, Object

GATEWAY, POD, OTHER_POD, STRANGER = "127.0.77.1", "127.0.77.2", "127.0.77.3", "127.0.78.1"
SUBNET = IPv4Network("127.0.77.0/24")
HELLO = "hello.default.svc.cluster.local."


@dataclass(slots=True)
class Upstream:
    """A name server of the host. `answer`: from a query to bytes; None for no answer."""

    port: int = 0
    queries: list[dns.message.Message] = field(default_factory=list)
    answer: Callable[[dns.message.Message, bool], bytes | None] = lambda query, tcp: reply(query)


def reply(query: dns.message.Message, count: int = 1) -> bytes:
    response = dns.message.make_response(query)
    records = [f"192.0.2.{number}" for number in range(1, count + 1)]
    response.answer.append(dns.rrset.from_text(query.question[0].name, 60, "IN", "A", *records))
    return response.to_wire()


@asynccontextmanager
async def upstream(address: str, port: int = 0) -> AsyncIterator[Upstream]:
    made = Upstream()

    class Datagrams(asyncio.DatagramProtocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport: asyncio.DatagramTransport = transport  # type: ignore[assignment]

        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            made.queries.append(dns.message.from_wire(data))
            if answer := made.answer(made.queries[-1], False):
                self.transport.sendto(answer, addr)

    async def stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        query = dns.message.from_wire(await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big")))
        made.queries.append(query)
        if answer := made.answer(query, True):
            writer.write(len(answer).to_bytes(2, "big") + answer)
            await writer.drain()
        writer.close()

    sockets = listening.bound(address, port)
    made.port = sockets.port
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Datagrams, sock=sockets.udp)
    async with await asyncio.start_server(stream, sock=sockets.tcp):
        yield made
    transport.close()


@dataclass(frozen=True, slots=True)
class Served:
    """A running name server."""

    port: int
    server: DnsServer
    cluster: MemoryCluster
    upstream: Upstream
    resolv_conf: Path

    async def ask(self, name: str, kind: str = "A", client: str = POD) -> dns.message.Message:
        return await self.send(dns.message.make_query(name, kind), client)

    async def send(self, query: dns.message.Message, client: str = POD) -> dns.message.Message:
        return await dns.asyncquery.udp(query, GATEWAY, 5, self.port, source=client)

    async def ask_by_tcp(self, name: str, client: str = POD) -> dns.message.Message:
        query = dns.message.make_query(name, "A")
        return await dns.asyncquery.tcp(query, GATEWAY, 5, self.port, source=client)


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    cluster = MemoryCluster()
    foreign = {"networking.knative.dev/ingress-class": "kourier.ingress.networking.knative.dev"}
    for each in (ingress("hello"), ingress("of-another", **foreign)):
        cluster.put(kinds.INGRESS, each)
    informer = Informer(cluster, kinds.INGRESS, indexes={"host": indexes.hosts, "namespace": indexes.namespace})
    resolv_conf = tmp_path / "resolv.conf"
    resolv_conf.write_text("nameserver 127.0.79.1\n")
    sockets = listening.bound(GATEWAY, 0)
    async with upstream("127.0.79.1") as above, asyncio.TaskGroup() as group:
        server = DnsServer(
            ClusterNames(informer, SUBNET),
            HostResolvers(GATEWAY, resolv_conf, above.port),
            SUBNET,
            IPv4Address(GATEWAY),
            RealClock(),
        )
        tasks = [group.create_task(informer.run()), group.create_task(listening.serve(server, sockets))]
        await informer.synced()
        yield Served(sockets.port, server, cluster, above, resolv_conf)
        for task in tasks:
            task.cancel()
    sockets.udp.close()
    sockets.tcp.close()


def ingress(name: str, **annotations: str) -> Object:
    hosts = [f"{name}.default", f"{name}.default.svc", f"{name}.default.svc.cluster.local"]
    rule = {"hosts": hosts, "visibility": "ClusterLocal", "http": {"paths": []}}
    return {
        "apiVersion": "networking.internal.knative.dev/v1alpha1",
        "kind": "Ingress",
        "metadata": {"name": name, "namespace": "default", "annotations": annotations},
        "spec": {"rules": [rule]},
    }


def addresses(response: dns.message.Message) -> list[str]:
    return sorted(str(record) for rrset in response.answer for record in rrset)


async def test_a_service_has_the_gateways_address(served: Served) -> None:
    response = await served.ask(HELLO)

    assert addresses(response) == [GATEWAY]
    assert response.flags & dns.flags.AA
    assert response.flags & dns.flags.RA
    assert addresses(await served.ask_by_tcp("HELLO.Default.svc.cluster.local.")) == [GATEWAY]


@pytest.mark.parametrize(
    ("name", "kind", "code"),
    [
        (HELLO, "AAAA", dns.rcode.NOERROR),
        (HELLO, "MX", dns.rcode.NOERROR),
        ("default.svc.cluster.local.", "A", dns.rcode.NOERROR),
        ("cluster.local.", "A", dns.rcode.NOERROR),
        ("absent.default.svc.cluster.local.", "A", dns.rcode.NXDOMAIN),
        ("of-another.default.svc.cluster.local.", "A", dns.rcode.NXDOMAIN),
        ("absent.svc.cluster.local.", "A", dns.rcode.NXDOMAIN),
        ("example.com.default.svc.cluster.local.", "A", dns.rcode.NXDOMAIN),
        ("example.com.cluster.local.", "A", dns.rcode.NXDOMAIN),
        ("9.77.0.127.in-addr.arpa.", "PTR", dns.rcode.NXDOMAIN),
    ],
)
async def test_a_name_of_the_cluster_is_never_forwarded(served: Served, name: str, kind: str, code: int) -> None:
    response = await served.ask(name, kind)

    assert (response.rcode(), response.answer) == (code, [])
    assert response.authority[0].rdtype == dns.rdatatype.SOA  # so that resolvers know how long to keep it
    assert served.upstream.queries == []


async def test_a_new_service_is_found_at_once(served: Served) -> None:
    assert (await served.ask("new.default.svc.cluster.local.")).rcode() == dns.rcode.NXDOMAIN
    served.cluster.put(kinds.INGRESS, ingress("new"))

    async def found() -> bool:
        return addresses(await served.ask("new.default.svc.cluster.local.")) == [GATEWAY]

    await eventually(found)


async def test_a_kept_answer_ends_with_its_service(served: Served) -> None:
    query = dns.message.make_query(HELLO, "A")
    wire = query.to_wire()
    await served.send(query)
    kept = served.server.kept_answer(b"\x12\x34" + wire[2:], POD)

    assert kept is not None
    assert kept[:2] == b"\x12\x34"
    assert addresses(dns.message.from_wire(kept)) == [GATEWAY]
    assert served.server.kept_answer(wire, STRANGER) is None

    served.cluster.remove(kinds.INGRESS, Key("default", "hello"))
    await eventually(lambda: served.server.kept_answer(wire, POD) is None)
    assert (await served.send(query)).rcode() == dns.rcode.NXDOMAIN


async def test_a_flood_of_new_questions_is_limited_for_its_pod_alone(served: Served) -> None:
    names, resolvers = served.server._names, served.server._resolvers
    server = DnsServer(names, resolvers, SUBNET, IPv4Address(GATEWAY), VirtualClock())
    query = dns.message.make_query("absent.cluster.local.", "A").to_wire()
    for _ in range(NEW_OF_ONE):
        assert await server.answer(query, POD, tcp=False) is not None

    assert await server.answer(query, POD, tcp=False) is None
    assert server.results[QueryResult.LIMITED] == 1
    assert await server.answer(query, OTHER_POD, tcp=False) is not None


def test_a_rate_has_a_burst_and_recovers_with_time() -> None:
    rates = Rates(10)

    assert [rates.take("a", 0) for _ in range(11)] == [True] * 10 + [False]
    assert rates.take("b", 0)
    assert [rates.take("a", 0.1) for _ in range(2)] == [True, False]
    assert [rates.take("a", 99) for _ in range(11)] == [True] * 10 + [False]


async def test_any_other_name_is_forwarded(served: Served) -> None:
    query = dns.message.make_query("Example.com.", "A")

    response = await served.send(query)

    assert response.id == query.id
    assert addresses(response) == ["192.0.2.1"]
    assert served.upstream.queries[0].id != query.id
    assert addresses(await served.ask_by_tcp("example.com.")) == ["192.0.2.1"]


async def test_the_options_of_a_query_are_forwarded(served: Served) -> None:
    query = dns.message.make_query("example.com.", "A", use_edns=0, want_dnssec=True, payload=1200)

    assert (await served.send(query)).edns == 0
    assert served.upstream.queries[0].payload == 1200
    assert served.upstream.queries[0].ednsflags & dns.flags.DO


async def test_a_long_answer_is_cut_by_udp_and_whole_by_tcp(served: Served) -> None:
    served.upstream.answer = lambda query, tcp: reply(query, 100)

    response = await served.ask("example.com.")

    assert response.flags & dns.flags.TC
    assert len(response.to_wire()) <= 512
    assert len(addresses(await served.ask_by_tcp("example.com."))) == 100


async def test_a_change_of_the_hosts_name_servers_is_followed(served: Served) -> None:
    async with upstream("127.0.79.2", served.upstream.port) as other:
        served.resolv_conf.write_text("# by DHCP\nsearch example.org\nnameserver x\nnameserver 127.0.79.2\n")
        await served.ask("example.com.")

    assert (len(served.upstream.queries), len(other.queries)) == (0, 1)


async def test_the_next_name_server_is_asked_if_one_fails(served: Served) -> None:
    async with upstream("127.0.79.2", served.upstream.port) as broken:
        broken.answer = lambda query, tcp: failing(query)
        served.resolv_conf.write_text("nameserver 127.0.79.3\nnameserver 127.0.79.2\nnameserver 127.0.79.1\n")

        assert addresses(await served.ask("example.com.")) == ["192.0.2.1"]
        assert len(broken.queries) == 1


def failing(query: dns.message.Message) -> bytes:
    response = dns.message.make_response(query)
    response.set_rcode(dns.rcode.SERVFAIL)
    return response.to_wire()


async def test_a_host_without_a_working_name_server_gives_a_failure(served: Served) -> None:
    served.resolv_conf.write_text("nameserver 127.0.79.3\n")  # refuses connections

    assert (await served.ask("example.com.")).rcode() == dns.rcode.SERVFAIL
    assert addresses(await served.ask(HELLO)) == [GATEWAY]


async def test_a_forged_answer_is_ignored(served: Served) -> None:
    def forged(query: dns.message.Message, tcp: bool) -> bytes:
        wrong = dns.message.make_query("evil.example.", "A")
        wrong.id = query.id ^ 1
        return reply(wrong)

    served.upstream.answer = forged
    served.resolv_conf.write_text("nameserver 127.0.79.1\n")
    task = asyncio.create_task(served.ask("example.com."))
    await eventually(lambda: bool(served.upstream.queries))
    served.upstream.answer = lambda query, tcp: reply(query)

    assert addresses(await task) == ["192.0.2.1"]


@pytest.mark.parametrize("client", [STRANGER, GATEWAY])
async def test_a_client_that_is_no_pod_gets_no_answer(served: Served, client: str) -> None:
    with pytest.raises(dns.exception.Timeout):
        await dns.asyncquery.udp(dns.message.make_query(HELLO, "A"), GATEWAY, 0.2, served.port, source=client)
    with pytest.raises(EOFError):
        await dns.asyncquery.tcp(dns.message.make_query(HELLO, "A"), GATEWAY, 2, served.port, source=client)

    assert served.server.results[QueryResult.REJECTED] == 2


@pytest.mark.parametrize(
    ("wire", "code"),
    [
        (b"", None),
        (b"\0" * 11, None),
        (b"\x12\x34\x80\0" + b"\0" * 8, None),
        (b"\x12\x34\x01\0" + b"\0" * 8, dns.rcode.FORMERR),
        (b"\x12\x34\x01\0\0\1" + b"\0" * 6 + b"\xc0\x0c\0\1\0\1", dns.rcode.FORMERR),
        (b"\x12\x34\x01\0\0\1\0\0\0\0\x03\xe8\1a\0\0\1\0\1" + 1000 * b"\0\0\1\0\1", dns.rcode.FORMERR),
        (b"\x12\x34\x28\0\0\1" + b"\0" * 6 + b"\1a\0\0\6\0\1", dns.rcode.NOTIMP),
        (b"\x12\x34\x01\0\0\1" + b"\0" * 6 + b"\1a\0\0\xfc\0\1", dns.rcode.NOTIMP),
        (b"\x12\x34\x01\0\0\1" + b"\0" * 6 + b"\1a\0\0\x10\0\3", dns.rcode.REFUSED),
    ],
)
async def test_a_malformed_query_gets_a_short_answer_or_none(served: Served, wire: bytes, code: int | None) -> None:
    answer = await served.server.answer(wire, POD, tcp=False)

    assert (None if answer is None else answer[3] & 0xF) == code
    if answer is not None:
        assert answer[:2] == wire[:2]
        assert answer[2] & 0x80
        assert len(answer) <= max(len(wire), 12)
    assert served.upstream.queries == []


async def test_a_single_pod_cannot_use_up_the_room_for_queries(served: Served) -> None:
    served.upstream.answer = lambda query, tcp: None
    query = dns.message.make_query("example.com.", "A").to_wire()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(served.server.answer(query, POD, tcp=False)) for _ in range(WAITING_OF_ONE)]
        await asyncio.sleep(0)

        assert await served.server.answer(query, POD, tcp=False) is None
        assert served.server.results[QueryResult.LIMITED] == 1
        served.upstream.answer = lambda query, tcp: reply(query)
        assert addresses(await served.ask("example.com.", client=OTHER_POD)) == ["192.0.2.1"]
        for task in tasks:
            task.cancel()


async def test_a_single_pod_cannot_use_up_the_connections(served: Served) -> None:
    held = [await asyncio.open_connection(GATEWAY, served.port, local_addr=(POD, 0)) for _ in range(8)]
    with pytest.raises((EOFError, ConnectionError)):
        await served.ask_by_tcp(HELLO)

    assert addresses(await served.ask_by_tcp(HELLO, client=OTHER_POD)) == [GATEWAY]
    for _, writer in held:
        writer.close()


async def test_queries_wait_for_a_server_that_starts(served: Served) -> None:
    sockets = listening.bound(GATEWAY, 0)
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.setblocking(False)
    client.bind((POD, 0))
    client.connect((GATEWAY, sockets.port))
    client.send(dns.message.make_query(HELLO, "A").to_wire())
    task = asyncio.create_task(listening.serve(served.server, sockets))

    answer = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(client, 512), 5)

    assert addresses(dns.message.from_wire(answer)) == [GATEWAY]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    for each in (client, *sockets):
        each.close()


def test_a_port_in_use_is_replaced_by_a_free_one() -> None:
    first = listening.bound(GATEWAY, 0)
    second = listening.bound(GATEWAY, first.port)

    assert second.port not in (0, first.port)
    for each in (*first, *second):
        each.close()
