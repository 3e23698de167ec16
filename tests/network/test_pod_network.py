# SPDX-License-Identifier: Apache-2.0
"""Namespaces, interfaces and rules in this host's kernel, made and found again."""

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.network.conftest import running
from tidegate.network import claims
from tidegate.network.options import NetworkOptions
from tidegate.network.pod_network import remove_pod_network


def inside(path: Path, *command: str) -> str:
    """The output of a program in that namespace."""
    return subprocess.run(["nsenter", f"--net={path}", *command], capture_output=True, text=True, check=True).stdout


def traces(name: str) -> Iterator[str]:
    """Everything on this host that has the name of a network."""
    for command in (["ip", "-o", "link"], ["nft", "list", "tables"]):
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        yield from (line for line in output.splitlines() if name in line)


async def test_a_pod_has_an_address_of_its_own(options: NetworkOptions) -> None:
    async with running(options) as network:
        one, other = await network.attach("one"), await network.attach("other")

        assert one.address != other.address
        assert f"inet {one.address}/32" in inside(one.path, "ip", "-4", "address", "show", "eth0")
        assert inside(one.path, "ip", "-6", "address") == ""


async def test_a_pod_keeps_its_namespace(options: NetworkOptions) -> None:
    async with running(options) as network:
        first, second = await asyncio.gather(network.attach("pod"), network.attach("pod"))

        assert first == second == await network.attach("pod") == network.find("pod")


async def test_the_next_control_plane_finds_the_namespace_of_a_pod(options: NetworkOptions) -> None:
    async with running(options) as network:
        before = await network.attach("pod")
        inode = before.path.stat().st_ino
    async with running(options) as network:
        after = await network.attach("pod")

        assert after == before
        assert after.path.stat().st_ino == inode
        assert (await network.attach("other")).address != before.address


async def test_the_next_control_plane_removes_namespaces_of_deleted_pods(options: NetworkOptions) -> None:
    async with running(options) as network:
        kept, deleted = await network.attach("kept"), await network.attach("deleted")
    async with running(options) as network:
        await network.detach_others({"kept"})

        assert kept.path.exists()
        assert not deleted.path.is_symlink()
        assert network.find("deleted") is None


async def test_two_networks_never_collide(options: NetworkOptions, other_options: NetworkOptions) -> None:
    async with running(options) as network, running(other_options) as other:
        assert network.plan is not None
        assert other.plan is not None
        assert not network.plan.subnet.overlaps(other.plan.subnet)
        one, two = await network.attach("pod"), await other.attach("pod")
        assert one.address != two.address
        await other.close()

        assert inside(one.path, "ip", "route")


async def test_nothing_is_left_after_the_end(options: NetworkOptions) -> None:
    async with running(options) as network:
        await asyncio.gather(*(network.attach(f"pod-{number}") for number in range(5)))
        assert network.plan is not None
        name = network.plan.name
        assert list(traces(name))
    await network.close()

    assert list(traces(name)) == []
    assert list(options.folder.iterdir()) == []
    assert claims.claimed(options) is None


async def test_nothing_is_left_of_a_killed_control_plane(options: NetworkOptions) -> None:
    async with running(options) as network:
        await network.attach("pod")
        assert network.plan is not None
    await remove_pod_network(options)

    assert list(traces(network.plan.name)) == []
    assert list(options.folder.iterdir()) == []


async def test_many_pods_come_and_leave_nothing(options: NetworkOptions) -> None:
    async with running(options) as network:
        for number in range(100):
            await network.attach(f"pod-{number}")
            await network.detach(f"pod-{number}")

        assert [path for path in options.folder.iterdir() if path.is_symlink()] == []
    assert network.plan is not None
    await network.close()
    assert list(traces(network.plan.name)) == []
