# SPDX-License-Identifier: Apache-2.0
"""Freezing of real processes in each way that this host has, and moving their memory to swap."""

import asyncio
import mmap
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.node import process_runtime, python
from harness.waiting import PATIENCE, eventually
from tidegate.kit.processes import Process
from tidegate.node.runtimes.process import freezer, limits, reclaim
from tidegate.node.runtimes.process.freezer import Freezer, FreezerGroups, SignalFreezer
from tidegate.node.runtimes.process.runtime import ProcessRuntime
from tidegate.node.runtimes.process.spec import ProcessSpec

FAMILY = """
import os, time
if os.fork() == 0: os.setsid()
print("runs", flush=True)
while True: pass
"""
"""Two processes of two sessions, both busy."""


def version_1() -> FreezerGroups:
    parent = limits.ROOT / "freezer" / limits.OURS
    parent.mkdir(exist_ok=True)
    return freezer.version_1(parent)


def version_2() -> FreezerGroups:
    for tree in (limits.ROOT, limits.ROOT / "unified"):
        if (tree / "cgroup.controllers").exists():
            parent = tree / limits.OURS
            parent.mkdir(exist_ok=True)
            return freezer.version_2(parent)
    raise FileNotFoundError("no tree of version 2")


@pytest.fixture(params=[SignalFreezer, version_1, version_2])
def means(request: pytest.FixtureRequest) -> Iterator[Freezer]:
    try:
        yield request.param()
    except OSError as error:
        pytest.skip(f"not on this host: {error}")


async def ticks(runtime: ProcessRuntime) -> float:
    """CPU that all processes of the container have used."""
    return sum(member.cpu_seconds for member in await runtime.processes.members("pod/app"))


async def until_busy(runtime: ProcessRuntime, since: float) -> None:
    async def is_busy() -> bool:
        return len(await runtime.processes.members("pod/app")) >= 2 and await ticks(runtime) > since

    await eventually(is_busy, "both processes use CPU")


def family(runtime: ProcessRuntime) -> ProcessSpec:
    return ProcessSpec("pod", "app", python(FAMILY), {"PATH": os.environ["PATH"]})


async def test_a_frozen_container_uses_no_cpu_and_resumes_when_thawed(tmp_path: Path, means: Freezer) -> None:
    runtime = process_runtime(tmp_path, freezer=means)
    running = await runtime.run(family(runtime))

    async def is_at_rest() -> bool:
        before = await ticks(runtime)
        await asyncio.sleep(0.1)  # no event says that a process uses no CPU
        return await ticks(runtime) == before

    try:
        await until_busy(runtime, 0)
        pids = {member.process.pid for member in await runtime.processes.members("pod/app")}

        await running.freeze()
        await running.reclaim()
        await eventually(is_at_rest, "the kernel stops processes a moment after it was asked to")
        before = await ticks(runtime)
        assert await is_at_rest()

        running.thaw()
        await until_busy(runtime, before)
        assert {member.process.pid for member in await runtime.processes.members("pod/app")} == pids
    finally:
        await running.kill()


async def test_a_frozen_container_can_be_ended_at_once(tmp_path: Path, means: Freezer) -> None:
    runtime = process_runtime(tmp_path, freezer=means)
    running = await runtime.run(family(runtime))
    await until_busy(runtime, 0)
    await running.freeze()

    async with asyncio.timeout(PATIENCE):
        await running.kill()

    assert not await runtime.processes.members("pod/app")


async def test_a_container_that_an_earlier_agent_froze_can_be_ended(tmp_path: Path, means: Freezer) -> None:
    runtime = process_runtime(tmp_path, freezer=means)
    running = await runtime.run(family(runtime))
    await until_busy(runtime, 0)
    await running.freeze()

    async with asyncio.timeout(PATIENCE):
        await process_runtime(tmp_path, freezer=means).forget_others([])
        await running.ended()

    assert not await runtime.processes.members("pod/app")


def test_a_host_without_control_groups_freezes_by_signals(tmp_path: Path) -> None:
    assert isinstance(freezer.freezer(None, tmp_path), SignalFreezer)


def test_limit_groups_of_version_2_are_used_for_freezing(tmp_path: Path) -> None:
    groups = limits.LimitGroupsV2(tmp_path)
    (tmp_path / "a.b").mkdir()
    (tmp_path / "a.b" / "cgroup.procs").write_text("42\n")

    made = freezer.freezer(groups, tmp_path)
    made.take("a.b", [Process(42, 1)])
    made.freeze("a.b", [])

    assert (tmp_path / "a.b" / "cgroup.procs").read_text() == "42\n"  # it is there already
    assert (tmp_path / "a.b" / "cgroup.freeze").read_text() == "1"
    made.thaw("a.b", [])
    assert (tmp_path / "a.b" / "cgroup.freeze").read_text() == "0"


def test_a_group_may_swap_only_while_it_is_reclaimed(tmp_path: Path) -> None:
    (tmp_path / "memory.swap.max").write_text("0")
    seen = []

    def go_on() -> bool:
        seen.append((tmp_path / "memory.swap.max").read_text())
        return len(seen) < 2

    assert reclaim.from_group(tmp_path, go_on)

    assert seen == ["max", "max"]
    assert (tmp_path / "memory.swap.max").read_text() == "0"
    assert (tmp_path / "memory.reclaim").read_text() == "16777216 swappiness=200"


def test_a_group_without_the_memory_controller_reclaims_nothing(tmp_path: Path) -> None:
    assert not reclaim.from_group(tmp_path, lambda: True)


MAPS = """\
55d0c0000000-55d0c0001000 r-xp 00000000 fe:00 1234 /usr/bin/app with spaces
55d0c0001000-55d0c0003000 rw-p 00001000 fe:00 1234 /usr/bin/app with spaces
7f0000000000-7f0001800000 rw-p 00000000 00:00 0
7f0002000000-7f0002001000 rw-s 00000000 00:01 99 /dev/shm/shared
7f0003000000-7f0003001000 r--p 00000000 00:00 0 [vvar]
"""


def test_private_memory_is_the_writable_private_memory_in_chunks() -> None:
    assert list(reclaim.private_memory(MAPS)) == [
        (0x55D0C0001000, 0x2000),
        (0x7F0000000000, 16 * 2**20),
        (0x7F0001000000, 8 * 2**20),
    ]


READS = """
import mmap, sys
with open(sys.argv[1], "r+b") as file:
    pages = mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE)
pages.find(b"x")
print("read", flush=True)
input()
"""


def test_private_memory_is_paged_out(tmp_path: Path) -> None:
    """Of a file that nobody else has mapped, so that it takes no swap."""
    if os.geteuid() != 0:
        pytest.skip("takes root")
    size = 32 * 2**20
    with (tmp_path / "pages").open("wb") as file:
        file.write(bytes(size))
        file.flush()
        os.fsync(file.fileno())  # a page that is not on disk cannot be dropped
    program = [sys.executable, "-c", READS, str(tmp_path / "pages")]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        process = Process.of(child.pid)
        assert process is not None
        before = resident(child.pid)
        assert before > size
        child.send_signal(signal.SIGSTOP)

        reclaim.from_process(process, lambda: True)

        assert resident(child.pid) < before - size / 2
        child.kill()


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * mmap.PAGESIZE
