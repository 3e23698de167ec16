# SPDX-License-Identifier: Apache-2.0
"""The tour of the README: each `$ command` is run, and its output has the lines that the README shows below it."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from harness.platform import PATIENCE, Platform

pytestmark = pytest.mark.flow

ROOT = Path(__file__).parents[2]
HOME, PORT = "~/.tidegate", "8080"
"""Folder and address of the Tidegate in the README; the test replaces them by its own."""


class Step(NamedTuple):
    """A command and the lines shown of its output; "..." matches any text."""

    command: str
    shown: list[str]


def steps(text: str) -> list[Step]:
    """The steps of all console blocks."""
    found: list[Step] = []
    for block in re.findall(r"^```console\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append(Step(line.removeprefix("$ "), []))
            else:
                found[-1].shown.append(line)
    return found


def missing(shown: list[str], output: str) -> list[str]:
    """The shown lines that the output lacks, in this order. Several blanks count as one."""
    lines, absent = iter(" ".join(line.split()) for line in output.splitlines()), []
    for line in shown:
        pattern = ".*".join(re.escape(" ".join(part.split())) for part in line.split("..."))
        if not any(re.fullmatch(f" *{pattern}.*", candidate) for candidate in lines):
            absent.append(line)
    return absent


def test_steps_are_read_with_their_expected_output() -> None:
    assert steps("text\n```console\n$ a b\nx\ny\n$ c\n```\n```\n$ not a step\n```\n") == [
        Step("a b", ["x", "y"]),
        Step("c", []),
    ]


def test_expected_lines_are_searched_in_order() -> None:
    output = "first   line 1\nsecond\n   7 third of all\n"

    assert missing(["first line ...", "... third"], output) == []
    assert missing(["second", "first ..."], output) == ["first ..."]


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    """The folder of the tour's Tidegate. The tour itself starts it."""
    running = Platform(tmp_path / "home")
    try:
        yield running
    finally:
        running.stop()


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.mark.needs("kubectl", "curl")
def test_every_command_of_the_tour_does_what_the_readme_shows(platform: Platform) -> None:
    port = free_port()
    environment = {
        **os.environ,
        "TIDEGATE_HOME": str(platform.home),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "NO_COLOR": "1",
        "COLUMNS": "200",
    }
    before: list[str] = []

    for command, shown in steps((ROOT / "README.md").read_text()):
        mine = command.replace(HOME, str(platform.home)).replace(PORT, str(port))
        others = "--https-port 0 --internal-port 0 --api-port 0"
        mine = mine.replace("up --detach", f"up --detach --http-port {port} {others}")
        if command.startswith("export "):
            before.append(mine)
            continue
        done = subprocess.run(
            ["bash", "-c", "\n".join([*before, mine])],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=2 * PATIENCE,
            check=False,
        )
        output = done.stdout + done.stderr
        assert done.returncode == 0, f"$ {mine}\n{output}\n{platform.log()}"
        absent = missing([line.replace(PORT, str(port)) for line in shown], output)
        assert absent == [], f"$ {mine}\n{output}\n{platform.log()}"
