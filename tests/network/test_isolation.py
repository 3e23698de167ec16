# SPDX-License-Identifier: Apache-2.0
"""Attacks from within a Pod and from another machine, and the ways that must be open."""

import socket
import struct
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.network.conftest import DNS, HTTP, accepted, connect, execute, in_namespace, listener, outside, running
from tidegate.network import firewall, namespaces
from tidegate.network.options import NetworkOptions
from tidegate.network.pod_network import NetworkNamespace, PodNetwork

REFUSED = ("No route to host", "Connection refused")


@dataclass(frozen=True, slots=True)
class Pods:
    """A network with two Pods."""

    network: PodNetwork
    gateway: str
    one: NetworkNamespace
    other: NetworkNamespace


@pytest.fixture
async def pods(options: NetworkOptions) -> AsyncIterator[Pods]:
    async with running(options) as network:
        one, other = await network.attach("one"), await network.attach("other")
        yield Pods(network, str(network.gateway), one, other)


def own_address() -> str:
    """An address of this host that is not for loopback."""
    fields = execute("ip", "-o", "-4", "address", "show", "scope", "global").split()
    return fields[fields.index("inet") + 1].partition("/")[0]


@pytest.mark.parametrize(("port", "leads_to"), [(80, HTTP), (HTTP, HTTP), (53, DNS)])
def test_a_pod_reaches_the_gateways_ports(pods: Pods, port: int, leads_to: int) -> None:
    with listener(pods.gateway, leads_to) as server:
        assert connect(pods.one.path, pods.gateway, port) == "open"

        assert accepted(server) == pods.one.address


def test_a_pod_sends_queries_to_the_dns_part(pods: Pods) -> None:
    with listener(pods.gateway, DNS, socket.SOCK_DGRAM) as server, namespaces.entered(pods.one.path):
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        client.settimeout(2)
        client.connect((pods.gateway, 53))
        client.send(b"query")
        query, sender = server.recvfrom(100)
        server.sendto(b"answer", sender)

        assert (query, client.recv(100)) == (b"query", b"answer")
        client.close()


def test_a_flood_of_queries_is_cut_by_the_kernel(pods: Pods) -> None:
    with listener(pods.gateway, DNS, socket.SOCK_DGRAM) as server, namespaces.entered(pods.one.path):
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.connect((pods.gateway, 53))
            for _ in range(4 * firewall.QUERIES):
                client.send(b"query")
        arrived = 0
        server.settimeout(0.1)
        with suppress(TimeoutError):
            while server.recvfrom(100):
                arrived += 1

    assert 0 < arrived < 3 * firewall.QUERIES


def test_a_pod_reaches_no_other_port_of_this_host(pods: Pods) -> None:
    with listener("0.0.0.0") as server:
        port = server.getsockname()[1]
        for address in (pods.gateway, own_address(), "127.0.0.2"):
            assert connect(pods.one.path, address, port) in REFUSED


def test_a_pod_reaches_no_other_pod(pods: Pods) -> None:
    with in_namespace(pods.other.path, "0.0.0.0", 8080):
        assert connect(pods.one.path, pods.other.address, 8080) in REFUSED
        assert connect(pods.other.path, pods.other.address, 8080) == "open"


async def test_a_pod_reaches_nothing_of_another_tidegate(pods: Pods, other_options: NetworkOptions) -> None:
    async with running(other_options) as other:
        stranger = await other.attach("stranger")
        gateway = str(other.gateway)
        with in_namespace(stranger.path, "0.0.0.0", 8080), listener(gateway, HTTP):
            assert connect(pods.one.path, stranger.address, 8080) != "open"
            assert connect(pods.one.path, gateway, 80) != "open"


def test_a_pod_does_not_reach_the_metadata_of_a_cloud(pods: Pods) -> None:
    assert connect(pods.one.path, "169.254.169.254", 80) in REFUSED


async def test_a_pod_reaches_link_local_addresses_where_that_is_allowed(options: NetworkOptions) -> None:
    async with running(replace(options, metadata=True)) as network:
        pod = await network.attach("pod")

        assert "169.254" not in execute("nft", "list", "table", "inet", network.plan.table if network.plan else "")
        assert pod.path.exists()


def test_the_host_reaches_a_pod(pods: Pods) -> None:
    with (
        in_namespace(pods.one.path, "0.0.0.0", 8080) as server,
        socket.create_connection((pods.one.address, 8080), timeout=2),
    ):
        assert accepted(server) == pods.gateway


def test_a_pod_reaches_other_machines_with_this_hosts_address(pods: Pods, tmp_path: Path) -> None:
    with outside(tmp_path) as machine, in_namespace(machine.path, "0.0.0.0", 7000) as server:
        # The host forwards on the new interface from the next check on.
        Path(f"/proc/sys/net/ipv4/conf/{interface_of(machine.host)}/forwarding").write_text("1")
        assert connect(pods.one.path, machine.address, 7000) == "open"

        assert accepted(server) == machine.host


def test_another_machine_reaches_neither_pods_nor_the_gateways_address(pods: Pods, tmp_path: Path) -> None:
    with (
        outside(tmp_path) as machine,
        in_namespace(pods.one.path, "0.0.0.0", 8080),
        listener(pods.gateway, HTTP),
        listener("0.0.0.0") as reachable,
    ):
        Path(f"/proc/sys/net/ipv4/conf/{interface_of(machine.host)}/forwarding").write_text("1")

        assert connect(machine.path, machine.host, reachable.getsockname()[1]) == "open"
        assert connect(machine.path, pods.one.address, 8080) == "TimeoutError"
        assert connect(machine.path, pods.gateway, HTTP) == "TimeoutError"
        assert connect(machine.path, pods.gateway, 80) == "TimeoutError"


def interface_of(address: str) -> str:
    return execute("ip", "-o", "address", "show", "to", address).split()[1]


@pytest.mark.parametrize("forged", ["other", "gateway", "192.0.2.77", "127.0.0.1"])
def test_a_pod_cannot_send_with_another_source(pods: Pods, forged: str) -> None:
    source = {"other": pods.other.address, "gateway": pods.gateway}.get(forged, forged)
    with listener(pods.gateway, DNS, socket.SOCK_DGRAM) as server:
        send_raw(pods.one.path, source, pods.gateway)
        send_raw(pods.one.path, pods.one.address, pods.gateway)

        assert server.recvfrom(100)[1][0] == pods.one.address
        server.settimeout(0.1)
        with pytest.raises(TimeoutError):
            server.recvfrom(100)


def send_raw(path: Path, source: str, target: str) -> None:
    """Send a datagram to port 53 with that source."""
    datagram = struct.pack("!HHHH", 5000, 53, 12, 0) + b"data"
    addresses = socket.inet_aton(source) + socket.inet_aton(target)
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(datagram), 0, 0, 64, 17, 0) + addresses
    with namespaces.entered(path), socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
        raw.sendto(header + datagram, (target, 0))


def test_a_pod_has_no_ipv6_way_to_this_host(pods: Pods) -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as server:
        server.bind(("::", 0))
        server.settimeout(0.2)
        with namespaces.entered(pods.one.path):
            Path("/proc/sys/net/ipv6/conf/eth0/disable_ipv6").write_text("0")
            execute("ip", "-6", "address", "add", "fe80::2/64", "dev", "eth0", "nodad")
            with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as client:
                for target in ("ff02::1", "fe80::1"):
                    try:
                        client.sendto(b"data", (target, server.getsockname()[1], 0, socket.if_nametoindex("eth0")))
                    except OSError:
                        continue
        with pytest.raises(TimeoutError):
            server.recvfrom(100)


def test_a_pod_gets_no_answer_to_arp_and_leaves_no_neighbour(pods: Pods) -> None:
    execute("nsenter", f"--net={pods.one.path}", "ip", "link", "set", "eth0", "arp", "on")
    mac = bytes.fromhex("0a58" + socket.inet_aton(pods.one.address).hex())
    packet = b"\xff" * 6 + mac + b"\x08\x06" + struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1)
    packet += mac + socket.inet_aton(pods.other.address) + b"\0" * 6 + socket.inet_aton(pods.gateway)
    with (
        namespaces.entered(pods.one.path),
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806)) as raw,
    ):
        raw.bind(("eth0", 0x0806))
        raw.settimeout(0.2)
        raw.send(packet)
        with pytest.raises(TimeoutError):
            while raw.recvfrom(100)[1][2] == socket.PACKET_OUTGOING:  # its own copy
                pass

    assert pods.other.address not in execute("ip", "neighbour", "show", "dev", host_end(pods.network, pods.one))


def host_end(network: PodNetwork, pod: NetworkNamespace) -> str:
    assert network.plan is not None
    return network.plan.interface(int(pod.path.resolve().name, 16))
