# SPDX-License-Identifier: Apache-2.0
"""The host around the Pod network: forwarding, other firewalls, subnets in use. Each test has a host of its own, which
is a network namespace."""

import asyncio
import socket
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from harness.waiting import eventually
from tests.network.conftest import DNS, Outside, connect, execute, in_namespace, listener, outside, running
from tidegate.network import claims, firewall, forwarding, iptables, links, pod_network
from tidegate.network.errors import FirewallError, NoSubnet
from tidegate.network.options import NetworkOptions
from tidegate.network.pod_network import PodNetwork, remove_pod_network

pytestmark = pytest.mark.usefixtures("other_host")

REFUSED = ("Connection refused", "No route to host")
DROP = "{ type filter hook input priority 5; policy drop; }"
FORWARDING = Path("/proc/sys/net/ipv4/conf")


async def repaired(network: PodNetwork) -> bool:
    """The next check of the host, now. Returns whether anything was missing."""
    assert network._host is not None
    return await asyncio.to_thread(network._host.repair)


async def test_a_host_that_does_not_forward_forwards_for_pods_only(options: NetworkOptions, tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    assert (FORWARDING / "all" / "forwarding").read_text() == "0\n"
    with outside(tmp_path) as a, outside(tmp_path / "b") as b, in_namespace(a.path, "0.0.0.0", 7000):
        async with running(options) as network:
            pod = await network.attach("pod")

            assert await asyncio.to_thread(connect, pod.path, a.address, 7000) == "open"
            assert connect(b.path, a.address, 7000) == "TimeoutError"
            assert (FORWARDING / "all" / "forwarding").read_text() == "0\n"

            (FORWARDING / "all" / "forwarding").write_text("1")  # e.g. Docker starts
            assert await repaired(network)
            assert connect(b.path, a.address, 7000) == "open"
            (FORWARDING / "all" / "forwarding").write_text("0")
        await network.close()


async def test_forwarding_is_restored_by_the_last_tidegate(
    options: NetworkOptions, other_options: NetworkOptions, tmp_path: Path
) -> None:
    other_options = replace(other_options, claims=options.claims)
    with outside(tmp_path) as machine:
        file = FORWARDING / interface(machine) / "forwarding"
        async with running(options) as network, running(other_options) as other:
            await asyncio.gather(network.attach("pod"), other.attach("pod"))
        assert file.read_text() == "1\n"
        await network.close()
        assert file.read_text() == "1\n"
        await other.close()
        assert file.read_text() == "0\n"


def interface(machine: Outside) -> str:
    return execute("ip", "-o", "address", "show", "to", machine.host).split()[1]


async def test_rules_that_another_program_flushed_are_set_up_again(options: NetworkOptions) -> None:
    async with running(options) as network:
        await network.attach("pod")
        assert not await repaired(network)
        execute("nft", "flush", "ruleset")
        execute("ip", "address", "del", f"{network.gateway}/32", "dev", "lo")

        assert await repaired(network)
        assert network.plan is not None
        assert firewall.listing(network.plan)
        assert str(network.gateway) in execute("ip", "address", "show", "dev", "lo")
        assert not await repaired(network)


async def test_a_failed_check_stops_new_pods_until_the_next_one(
    options: NetworkOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise FirewallError("nft: busy")

    async with running(options) as network, asyncio.TaskGroup() as group:
        await network.attach("pod")
        with monkeypatch.context() as patched:
            patched.setattr(firewall, "apply", fail)
            patched.setattr(pod_network, "CHECK_EVERY", 0.01)
            execute("nft", "flush", "ruleset")
            with pytest.raises(FirewallError):
                await network.run()
        assert network.problem.endswith("nft: busy")

        again = group.create_task(network.run())
        await network.attach("another")
        await eventually(lambda: network.problem == "")
        again.cancel()


@pytest.mark.needs("iptables")
async def test_packets_of_pods_pass_a_firewall_that_drops_all_others(options: NetworkOptions, tmp_path: Path) -> None:
    execute("iptables", "-P", "FORWARD", "DROP")  # Docker
    execute("iptables", "-P", "INPUT", "DROP")  # ufw
    with outside(tmp_path) as machine, in_namespace(machine.path, "0.0.0.0", 7000):
        async with running(options) as network:
            pod = await network.attach("pod")
            with listener(str(network.gateway), DNS), listener("0.0.0.0", 9000):
                assert connect(pod.path, machine.address, 7000) == "open"
                assert connect(pod.path, str(network.gateway), 53) == "open"
                assert connect(pod.path, str(network.gateway), 9000) in REFUSED
        await network.close()
    assert "tidegate" not in execute("iptables", "-S")


@pytest.mark.needs("iptables")
async def test_a_port_that_another_program_publishes_is_closed_for_pods(
    options: NetworkOptions, tmp_path: Path
) -> None:
    (tmp_path / "b").mkdir()
    with (
        outside(tmp_path) as container,
        outside(tmp_path / "b") as machine,
        in_namespace(container.path, "0.0.0.0", 7000),
    ):
        publish = ("-t", "nat", "-A", "PREROUTING", "-p", "tcp", "--dport", "9000", "-m", "addrtype")
        to_container = ("--dst-type", "LOCAL", "-j", "DNAT", "--to-destination", f"{container.address}:7000")
        execute("iptables", *publish, *to_container)  # as Docker does
        (FORWARDING / "all" / "forwarding").write_text("1")
        async with running(options) as network:
            pod = await network.attach("pod")

            assert connect(machine.path, machine.host, 9000) == "open"
            assert connect(pod.path, machine.host, 9000) in REFUSED
            assert connect(pod.path, str(network.gateway), 9000) in REFUSED
        await network.close()


@pytest.mark.needs("iptables")
async def test_a_firewall_without_rules_gets_none(options: NetworkOptions) -> None:
    async with running(options) as network:
        await network.attach("pod")

        assert "tidegate" not in execute("iptables", "-S")
        assert network.plan is not None
        assert not iptables.accept(network.plan)


async def test_a_firewall_that_drops_packets_of_pods_is_reported(options: NetworkOptions) -> None:
    async with running(options) as network:
        await network.attach("pod")
        with listener(str(network.gateway), DNS):
            await network.check()
            execute(
                "nft", "add table inet mine; add chain inet mine in { type filter hook input priority 5; policy drop; }"
            )

            with pytest.raises(FirewallError, match="let it accept those of the interfaces tg"):
                await network.check()


async def test_a_subnet_in_use_is_avoided(options: NetworkOptions) -> None:
    async with running(options) as network:
        first = network.plan
    await network.close()
    assert first is not None
    execute("ip", "route", "add", "blackhole", str(first.subnet))

    async with running(options) as network:
        assert network.plan is not None
        assert not network.plan.subnet.overlaps(first.subnet)
    with pytest.raises(NoSubnet, match="overlaps"):
        PodNetwork(replace(options, record=options.record.with_name("2"), subnet=first.subnet))


async def test_a_chosen_subnet_stays_until_the_end(options: NetworkOptions) -> None:
    chosen = replace(options, subnet=IPv4Network("10.1.2.0/24"))
    async with running(chosen) as network:
        assert str((await network.attach("pod")).address).startswith("10.1.2.")
    async with running(options) as network:
        assert network.plan is not None
        assert network.plan.subnet == chosen.subnet
    with pytest.raises(NoSubnet, match="tidegate down"):
        PodNetwork(replace(options, subnet=IPv4Network("10.1.3.0/24")))
    await network.close()
    async with running(replace(options, subnet=IPv4Network("10.1.3.0/24"))) as network:
        assert (await network.attach("pod")).address.startswith("10.1.3.")


async def test_a_small_subnet_has_room_for_as_many_pods_as_addresses(options: NetworkOptions) -> None:
    async with running(replace(options, subnet=IPv4Network("10.1.2.0/28"))) as network:
        pods = await asyncio.gather(*(network.attach(f"pod-{number}") for number in range(13)))
        assert len({pod.address for pod in pods}) == 13
        with pytest.raises(Exception, match="in use"):
            await network.attach("another")
        await network.detach("pod-3")

        assert (await network.attach("another")).address == pods[3].address


async def test_the_network_of_a_deleted_state_folder_is_removed(
    options: NetworkOptions, other_options: NetworkOptions
) -> None:
    other_options = replace(other_options, claims=options.claims)
    async with running(other_options) as other:
        await other.attach("pod")
    other_options.record.unlink()

    async with running(options) as network:
        await network.attach("pod")
    assert network.plan is not None
    assert other.plan is not None
    assert links.interfaces(other.plan.interfaces) == set()
    assert firewall.listing(other.plan) == ""
    assert list(other_options.folder.iterdir()) == []
    assert claims.orphans(options) == {}


async def test_tidegates_that_start_together_take_different_subnets(options: NetworkOptions, tmp_path: Path) -> None:
    each = [replace(options, record=tmp_path / f"{number}.json") for number in range(8)]
    plans = await asyncio.gather(*(asyncio.to_thread(claims.claim, one, links.used_subnets) for one in each))

    assert len({plan.subnet for plan in plans}) == 8
    for one in each:
        await remove_pod_network(one)


def test_interfaces_of_pods_are_left_out_of_forwarding(tmp_path: Path) -> None:
    execute("ip", "link", "add", "tg1", "type", "veth", "peer", "name", "other")

    assert forwarding.enable(tmp_path / "note") >= {"other"}
    assert "tg1" not in (tmp_path / "note").read_text()


def test_a_host_namespace_is_not_the_hosts() -> None:
    assert [name for _, name in socket.if_nameindex() if name.startswith("tg")] == []
