# SPDX-License-Identifier: Apache-2.0
"""Starts: a failed one reports its reason in one line and leaves no process; a successful one has a private folder."""

import asyncio
import os
import re
import socket
from pathlib import Path

import httpx
import psutil
import pytest

from harness.platform import Platform

pytestmark = pytest.mark.flow


@pytest.mark.parametrize("option", ["--http-port", "--https-port", "--internal-port", "--api-port"])
def test_a_port_in_use_is_named_and_no_process_runs_afterwards(tmp_path: Path, option: str) -> None:
    platform = Platform(tmp_path / "home")
    ports = {"--http-port": "0", "--https-port": "0", "--internal-port": "0", "--api-port": "0"}
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports[option] = str(taken.getsockname()[1])

        done = platform.cli("up", *(word for pair in ports.items() for word in pair), check=False)

    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"error: cannot listen on port {ports[option]}: address already in use"
    assert "Traceback" not in done.stderr
    commands = [" ".join(each.info["cmdline"] or ()) for each in psutil.process_iter(["cmdline"])]
    assert not [command for command in commands if str(platform.home) in command]


def test_a_second_control_plane_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    platform = Platform(tmp_path / "home")
    platform.start()
    try:
        done = platform.cli("up", "--detach", check=False)
    finally:
        platform.stop()

    assert done.returncode == 1
    assert done.stderr.startswith(f"error: Tidegate already runs in {platform.home} (process ")


async def test_two_concurrent_starts_leave_one_running_that_the_other_names(tmp_path: Path) -> None:
    platform = Platform(tmp_path / "home")
    ports = ("--http-port", "0", "--https-port", "0", "--internal-port", "0", "--api-port", "0")
    try:
        starts = await asyncio.gather(
            *(asyncio.to_thread(platform.cli, "up", "--detach", *ports, check=False) for _ in range(2))
        )
        winner, loser = sorted(starts, key=lambda done: done.returncode)
        found = re.search(r"^error: Tidegate already runs in (.*) \(process (\d+)\)$", loser.stderr, re.MULTILINE)

        assert (winner.returncode, loser.returncode) == (0, 1), (winner, loser)
        assert found is not None, loser.stderr
        assert found[1] == str(platform.home)
        control = psutil.Process(platform.status()["process"]["pid"])
        assert int(found[2]) in (control.pid, control.ppid())
    finally:
        platform.stop()


def test_the_next_start_keeps_the_ports_that_it_does_not_name_after_a_kill_and_after_a_stop(tmp_path: Path) -> None:
    platform = Platform(tmp_path / "home")
    platform.start()
    try:
        urls = platform.status()["urls"]
        platform.abandon()
        platform.cli("up", "--detach")
        assert platform.status()["urls"] == urls

        platform.stop()
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        moved = platform.cli("up", "--detach", "--http-port", str(port))
        before = urls["http"].rpartition(":")[2]
        assert f"HTTP moves from port {before} to port {port}" in moved.stderr.splitlines()
        assert platform.status()["urls"] == {**urls, "http": f"http://127.0.0.1:{port}"}
    finally:
        platform.stop()


def test_python_files_in_the_current_folder_are_not_executed(tmp_path: Path) -> None:
    """E.g. an app's module with the name of a Python module, or another user's file in /tmp."""
    for module in ("selectors", "signal", "uvloop"):
        (tmp_path / f"{module}.py").write_text(f"raise SystemExit('{module} of the folder')\n")
    platform = Platform(tmp_path / "home")
    ports = ("--http-port", "0", "--https-port", "0", "--internal-port", "0", "--api-port", "0")
    try:
        platform.cli("up", "--detach", *ports, folder=tmp_path)
        assert platform.status()["services"] == []
    finally:
        platform.stop()


def test_the_gateway_answers_when_up_has_returned(tmp_path: Path) -> None:
    platform = Platform(tmp_path / "home")
    platform.start()
    try:
        assert httpx.get(platform.gateway).status_code == 404
    finally:
        platform.stop()


def test_a_missing_or_damaged_database_is_refused_until_it_is_reset(tmp_path: Path) -> None:
    platform = Platform(tmp_path / "home")
    platform.start()
    platform.stop()
    database = platform.home / "state.db"
    for content, fault in ((b"", "is empty"), (None, "is missing"), (b"no database" * 1000, "is damaged")):
        if content is None:
            database.unlink()
        else:
            database.write_bytes(content)

        for options in ((), ("--detach",)):
            done = platform.cli("up", *options, check=False)
            assert done.returncode == 3
            (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
            assert fault in line
            assert "tidegate up --reset" in line

    platform.cli("up", "--detach", "--reset")
    try:
        assert (platform.home / "state.db.old").read_bytes() == b"no database" * 1000
        assert platform.status()["services"] == []
    finally:
        platform.stop()


@pytest.mark.parametrize("file", ["pki/token", "kubeconfig", "run/tidegate.json", "settings.json", "node"])
def test_a_file_emptied_by_a_crash_is_created_again(tmp_path: Path, file: str) -> None:
    platform = Platform(tmp_path / "home")
    platform.start()
    try:
        token = (platform.home / "pki" / "token").read_text()
        platform.abandon()
        (platform.home / file).write_text("")
        platform.start()

        assert platform.status()["services"] == []
        assert (platform.home / file).read_text()
        assert (platform.home / "pki" / "token").read_text() == token
    finally:
        platform.stop()


def test_the_state_folder_is_readable_only_by_its_owner(tmp_path: Path) -> None:
    platform = Platform(tmp_path / "home")
    platform.start()
    try:
        paths = [platform.home, *platform.home.rglob("*")]
        passed = {platform.home, platform.home / "bundles", platform.home / "instances"} if os.geteuid() == 0 else set()
        shown = [str(path) for path in paths if path.stat().st_mode & (0o066 if path in passed else 0o077)]
        # Copies of public files, and files of the kernel, in folders that only we may enter.
        closed = (platform.home / "sandbox" / "etc", platform.home / "run" / "netns")
        assert not [place for place in closed if place.exists() and place.parent.stat().st_mode & 0o077]
        shown = [path for path in shown if not any(Path(path).is_relative_to(place) for place in closed)]
    finally:
        platform.stop()

    assert platform.home / "gateway" / "envoy.log" in paths
    assert shown == []  # apps' users may enter some folders to reach their own, and may list none
