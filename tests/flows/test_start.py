# SPDX-License-Identifier: Apache-2.0
"""How a Tidegate starts: one that cannot says why in one line and leaves nothing running; one that does is private."""

import socket
from pathlib import Path

import psutil
import pytest

from tests.flows.platform import Platform

pytestmark = pytest.mark.flow


@pytest.mark.parametrize("option", ["--http-port", "--https-port", "--internal-port", "--api-port"])
def test_a_port_that_is_taken_is_named_and_nothing_runs_afterwards(tmp_path: Path, option: str) -> None:
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


def test_a_second_one_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    platform = Platform(tmp_path / "home")
    platform.start()
    try:
        done = platform.cli("up", "--detach", check=False)
    finally:
        platform.stop()

    assert done.returncode == 1
    assert done.stderr.startswith(f"error: Tidegate already runs in {platform.home} (process ")


def test_what_it_keeps_is_for_its_owner_alone(tmp_path: Path) -> None:
    platform = Platform(tmp_path / "home")
    platform.start()
    try:
        kept = [platform.home, *platform.home.rglob("*")]
        shown = [str(path) for path in kept if path.stat().st_mode & 0o077]
    finally:
        platform.stop()

    assert platform.home / "gateway" / "envoy.log" in kept
    assert shown == []
