# SPDX-License-Identifier: Apache-2.0
"""Control groups of containers, in trees that look like those of a kernel."""

from pathlib import Path

import pytest

from tidegate.node.runtime import PodUsage
from tidegate.node.runtimes.oci.control_groups import ControlGroups


@pytest.fixture
def unified(tmp_path: Path) -> Path:
    """A host with version 2 alone: the group of a container."""
    (tmp_path / "cgroup.controllers").write_text("cpu memory pids\n")
    group = tmp_path / ControlGroups(tmp_path).path("one").lstrip("/")
    group.mkdir(parents=True)
    (group / "cpu.stat").write_text("usage_usec 1500000\nuser_usec 1\n")
    (group / "memory.current").write_text("5000\n")
    (group / "memory.stat").write_text("anon 1\ninactive_file 1000\n")
    (group / "memory.events").write_text("oom 1\noom_kill 1\n")
    (group / "cgroup.procs").write_text("12\n3\n")
    return group


@pytest.fixture
def separate(tmp_path: Path) -> Path:
    """A host with version 1: the folder above the trees."""
    for tree in ("cpuacct", "memory", "freezer"):
        (tmp_path / tree / "tidegate" / "one").mkdir(parents=True)
    (tmp_path / "cpuacct/tidegate/one/cpuacct.usage").write_text("2500000000\n")
    memory = tmp_path / "memory/tidegate/one"
    (memory / "memory.usage_in_bytes").write_text("7000\n")
    (memory / "memory.stat").write_text("inactive_file 1\ntotal_inactive_file 2000\n")
    (memory / "memory.oom_control").write_text("oom_kill_disable 0\noom_kill 0\n")
    (memory / "cgroup.procs").write_text("7\n")
    return tmp_path


def test_usage_and_processes_of_version_2(unified: Path, tmp_path: Path) -> None:
    groups = ControlGroups(tmp_path)

    assert groups.usage("one") == PodUsage(1.5, 4000)
    assert groups.processes("one") == [3, 12]
    assert groups.was_oom_killed("one")
    assert groups.usage("other") is None


def test_a_container_is_frozen_by_version_2(unified: Path, tmp_path: Path) -> None:
    groups = ControlGroups(tmp_path)

    groups.freeze("one")
    assert (unified / "cgroup.freeze").read_text() == "1"
    groups.thaw("one")
    assert (unified / "cgroup.freeze").read_text() == "0"
    assert groups.memory_group("one") == unified


def test_usage_and_processes_of_version_1(separate: Path) -> None:
    groups = ControlGroups(separate)

    assert groups.usage("one") == PodUsage(2.5, 5000)
    assert groups.processes("one") == [7]
    assert not groups.was_oom_killed("one")
    assert not groups.limits_swap


def test_a_container_is_frozen_by_version_1(separate: Path) -> None:
    groups = ControlGroups(separate)

    groups.freeze("one")
    assert (separate / "freezer/tidegate/one/freezer.state").read_text() == "FROZEN"
    groups.thaw("one")
    assert (separate / "freezer/tidegate/one/freezer.state").read_text() == "THAWED"
    groups.thaw("other")
