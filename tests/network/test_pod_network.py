# SPDX-License-Identifier: Apache-2.0
"""Namespaces, interfaces and rules in this host's kernel, made and found again."""

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path

from harness.waiting import eventually
from tests.network.conftest import running
from tidegate.network import claims, links, namespaces
from tidegate.network.options import NetworkOptions
from tidegate.network.pod_network import SPARES, NetworkNamespace, remove_pod_network


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


async def test_remains_of_a_crash_are_removed(options: NetworkOptions) -> None:
    """Each step of making and removing a namespace may have been the last one."""
    async with running(options) as network:
        kept = await network.attach("kept")
        plan = network.plan
        assert plan is not None
    for number in (0x91, 0x92, 0x93):
        await asyncio.to_thread(links.add_pod, plan, number, options.folder / f"{number:04x}")
    (options.folder / "half-made").symlink_to("0091")
    namespaces.remove(options.folder / "0091")  # the host ended, or the removal of "half-made" was cut short
    namespaces.remove(options.folder / "0092")
    await asyncio.to_thread(links.remove_route, plan, 0x93)
    (options.folder / "0094").touch()  # a file that is no mount yet
    (options.folder / "empty").symlink_to("0094")
    (options.folder / "dangling").symlink_to("0095")

    async with running(options) as network:
        assert await network.attach("kept") == kept
        await eventually(lambda: len(links.interfaces(plan.interfaces)) == 1 + SPARES)
        names = {path.name for path in options.folder.iterdir() if path.is_symlink()}

        assert names == {"kept"}
        assert not links.interfaces(plan.interface(0x91)) | links.interfaces(plan.interface(0x92))
        assert (await network.attach("half-made")).path.is_symlink()


async def test_a_namespace_that_was_used_is_never_given_to_another_pod(options: NetworkOptions) -> None:
    async with running(options) as network:
        used = await network.attach("pod")
        inside(used.path, "ip", "address", "add", "198.51.100.1/32", "dev", "lo")
    used.path.unlink()  # killed between the two steps of `detach`

    async with running(options) as network:
        others = await asyncio.gather(*(network.attach(f"other-{number}") for number in range(SPARES + 2)))

        assert not any("198.51.100.1" in inside(other.path, "ip", "address") for other in others)


async def test_an_attach_that_is_cancelled_leaves_no_namespace(options: NetworkOptions) -> None:
    async with running(options) as network:
        calls = [asyncio.create_task(network.attach(f"pod-{number}")) for number in range(10)]
        await asyncio.sleep(0.02)
        for call in calls[::2]:
            call.cancel()
        results = await asyncio.gather(*calls, return_exceptions=True)
        attached = sum(isinstance(result, NetworkNamespace) for result in results)

        await eventually(lambda: len(list(options.folder.glob("0*"))) == attached + SPARES)


async def test_a_namespace_is_taken_without_waiting_for_the_kernel(options: NetworkOptions) -> None:
    async with running(options) as network:
        await network.attach("first")
        await eventually(lambda: len(list(options.folder.glob("0*"))) == 1 + SPARES)
        made = {path.name for path in options.folder.iterdir()}
        pods = [await network.attach(f"pod-{number}") for number in range(SPARES)]

        assert {pod.path.readlink().name for pod in pods} <= made
