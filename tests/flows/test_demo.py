# SPDX-License-Identifier: Apache-2.0
"""`make demo` with its output in a file: it prints all its steps and leaves no process or file behind."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from harness.platform import PATIENCE
from tests.flows.test_survival import belongs_to

pytestmark = pytest.mark.flow


def start(folder: Path, *options: str) -> "subprocess.Popen[str]":
    """The demo, with its temporary files in `folder`."""
    return subprocess.Popen(
        [sys.executable, "-m", "tidegate", "demo", *options],
        env={**os.environ, "TMPDIR": str(folder), "NO_COLOR": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def left_behind(folder: Path) -> list[list[str]]:
    """The command lines of processes that belong to a folder."""
    return [process.cmdline() for process in psutil.process_iter() if belongs_to(process, str(folder))]


def test_the_demo_shows_all_steps_and_cleans_up(tmp_path: Path) -> None:
    with start(tmp_path, "--requests", "2000") as process:
        out, err = process.communicate(timeout=4 * PATIENCE)

    assert process.returncode == 0, out + err
    for expected in (
        r"Tidegate is up after",
        r"deployed hello: built in .*, ready .* later at http://hello\.default\.localhost:\d+",
        r"deployed hello-v2: ",
        r"split 90 % to hello-00001, 10 % to hello-00002",
        r"answered 2000, failed 0; \d+ requests/s, p50 \d+ ms, p99 \d+ ms",
        r"hello-00001 +90 % +\d+\.\d %",
        r"scaled to zero",
        r'woke up for another request: "(Hello|Good day) from hello-0000[12]" after \d+ ms',
        # the target is 70 % of 5, and 32 requests are in flight at most
        r"hello-00001  [·▁▂▃▄▅▆▇█]+  at most ([2-9]|10)\n",
        r"stopped and cleaned up",
    ):
        assert re.search(expected, out), f"{expected}\n{out}{err}"
    assert list(tmp_path.iterdir()) == []
    assert left_behind(tmp_path) == []


def test_an_interrupted_demo_cleans_up(tmp_path: Path) -> None:
    with start(tmp_path) as process:
        assert process.stdout is not None
        assert "Tidegate is up" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=2 * PATIENCE)

    assert process.returncode == 130
    assert list(tmp_path.iterdir()) == []
    assert left_behind(tmp_path) == []
