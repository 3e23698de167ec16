# SPDX-License-Identifier: Apache-2.0
"""Limits, as files of control groups, and with the real groups of this host if it has any."""

import sys
from pathlib import Path

import pytest

from harness.node import container, node, pod, process_runtime
from tidegate.model.logs import LogOptions
from tidegate.node.own_limits import own_limits
from tidegate.node.runtime import Limits
from tidegate.node.runtimes.process import limits


def test_version_2_holds_cpu_and_memory_in_one_group(tmp_path: Path) -> None:
    groups = limits.LimitGroupsV2(tmp_path)
    groups.apply("a.b", 42, Limits(cpu=0.25, memory=2**20))
    files = {file.name: file.read_text() for file in (tmp_path / "a.b").iterdir()}
    assert files == {
        "cpu.max": "25000 100000",
        "memory.max": "1048576",
        "memory.swap.max": "0",
        "cgroup.procs": "42",
    }
    assert not groups.was_oom_killed("a.b")
    (tmp_path / "a.b" / "memory.events").write_text("low 0\nmax 7\noom 1\noom_kill 1\n")
    assert groups.was_oom_killed("a.b")


def test_the_own_limits_are_the_lowest_of_the_groups_of_version_2(tmp_path: Path) -> None:
    ours = tmp_path / "user.slice" / "app"
    ours.mkdir(parents=True)
    (ours / "cpu.max").write_text("max 100000\n")
    (ours / "memory.max").write_text(f"{2**30}\n")
    (ours.parent / "cpu.max").write_text("150000 100000\n")
    (ours.parent / "memory.max").write_text("max\n")
    (tmp_path / "membership").write_text("0::/user.slice/app\n")

    assert own_limits(tmp_path, tmp_path / "membership") == Limits(cpu=1.5, memory=2**30)


def test_the_own_limits_are_the_lowest_of_the_groups_of_version_1(tmp_path: Path) -> None:
    for file, text in {
        "cpu/cpu.cfs_quota_us": "-1",
        "cpu/app/cpu.cfs_quota_us": "50000",
        "cpu/app/cpu.cfs_period_us": "100000",
        "memory/memory.limit_in_bytes": f"{2**63 - 4096}",
        "memory/app/memory.limit_in_bytes": f"{2**29}",
    }.items():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(text)
    (tmp_path / "membership").write_text("4:memory:/app\n3:cpuacct,cpu:/app\n2:pids:/\n0::/\n")

    assert own_limits(tmp_path, tmp_path / "membership") == Limits(cpu=0.5, memory=2**29)


def test_a_process_without_groups_has_no_own_limits(tmp_path: Path) -> None:
    (tmp_path / "membership").write_text("0::/\n")

    assert own_limits(tmp_path, tmp_path / "membership") == Limits()


def test_version_1_makes_a_group_only_for_a_limit(tmp_path: Path) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "memory").mkdir()
    groups = limits.LimitGroupsV1(tmp_path / "cpu", tmp_path / "memory")
    groups.apply("a.b", 42, Limits(memory=2**20))
    assert (tmp_path / "memory" / "a.b" / "memory.limit_in_bytes").read_text() == "1048576"
    assert (tmp_path / "memory" / "a.b" / "cgroup.procs").read_text() == "42"
    assert not (tmp_path / "cpu" / "a.b").exists()


def test_a_host_without_control_groups_has_none(tmp_path: Path) -> None:
    assert limits.groups(tmp_path) is None


async def test_an_app_that_exceeds_its_memory_limit_is_oom_killed(tmp_path: Path) -> None:
    groups = limits.groups()
    if groups is None:
        pytest.skip("no control group can be written on this host")
    eats = "data = []\nwhile True: data.append(bytes(10**6))"
    async with node(tmp_path, runtime=process_runtime(tmp_path / "instances", groups=groups)) as world:
        await world.create(pod("eats", sys.executable, "-c", eats, resources={"limits": {"memory": "64Mi", "cpu": 1}}))
        obj = await world.until("eats", lambda obj: bool(container(obj).get("lastState")))

        ended = container(obj)["lastState"]["terminated"]
        assert (ended["reason"], ended["exitCode"], ended["signal"]) == ("OOMKilled", 137, 9)


async def test_an_app_that_exceeds_its_cpu_limit_is_slowed_down(tmp_path: Path) -> None:
    groups = limits.groups()
    if groups is None:
        pytest.skip("no control group can be written on this host")
    counts = """
import time
wall, cpu = time.monotonic(), time.process_time()
while time.process_time() - cpu < 0.2: pass
print((time.process_time() - cpu) / (time.monotonic() - wall), flush=True)
time.sleep(60)
"""
    async with node(tmp_path, runtime=process_runtime(tmp_path / "instances", groups=groups)) as world:
        await world.create(pod("works", sys.executable, "-c", counts, resources={"limits": {"cpu": "200m"}}))
        obj = await world.until("works", lambda obj: container(obj).get("started", False))
        async for first in world.node.logs.read(obj, "user-container", LogOptions(follow=True)):
            assert float(first) < 0.5
            break
