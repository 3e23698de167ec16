# SPDX-License-Identifier: Apache-2.0
"""Programs beside a container's own process: their files, their terminal, and their end."""

import asyncio
import os
import signal
import subprocess
import sys
import termios
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from harness.node import process_runtime
from harness.waiting import eventually
from tidegate.kit.processes import Process
from tidegate.node.runtime import Stdio
from tidegate.node.runtimes.process import sweep
from tidegate.node.runtimes.process.confinement import Confinement
from tidegate.node.runtimes.process.running import RunningProcess
from tidegate.node.runtimes.process.spec import ProcessSpec

ENVIRONMENT = {"PATH": "/usr/bin:/bin", "GIVEN": "yes"}
ROOT = Path(__file__).parents[3]
DETACHED = "import os, time; os.fork() and os._exit(0); os.setsid(); os.fork() and os._exit(0); time.sleep(300)"
"""A program whose grandchild leads a session of its own."""


@asynccontextmanager
async def sleeper(folder: Path) -> AsyncIterator[RunningProcess]:
    running = await process_runtime(folder / "instances").run(ProcessSpec("pod", "c", ["sleep", "300"], ENVIRONMENT))
    try:
        yield running
    finally:
        await running.kill()
        assert sweep.find(folder / "instances", {}) == {}


async def output(running: RunningProcess, *program: str, given: bytes = b"") -> tuple[int, bytes, bytes]:
    """The exit code of a program with pipes, its output and its errors; all fits into the pipes."""
    pipes = [os.pipe() for _ in range(3)]
    (stdin, given_to), (out, stdout), (err, stderr) = pipes
    os.write(given_to, given)
    os.close(given_to)
    code = await running.execute(program, Stdio(stdin, stdout, stderr))
    for file in (stdin, stdout, stderr):
        os.close(file)
    result = code, os.read(out, 65536), os.read(err, 65536)
    os.close(out)
    os.close(err)
    return result


async def test_a_program_has_its_files_and_its_exit_code(tmp_path: Path) -> None:
    async with sleeper(tmp_path) as running:
        script = "cat; echo $GIVEN; echo bad >&2; exit 7"
        assert await output(running, "sh", "-c", script, given=b"\0\xff") == (7, b"\0\xffyes\n", b"bad\n")
        assert await output(running, "sh", "-c", "kill -9 $$") == (137, b"", b"")


@pytest.mark.parametrize(
    ("program", "code", "message"),
    [
        ("missing", 127, b"cannot execute missing: No such file or directory\n"),
        ("/etc/passwd", 126, b"cannot execute /etc/passwd: Permission denied\n"),
        ("a\0b", 126, b"cannot execute a\0b: Invalid argument\n"),
    ],
)
async def test_a_program_that_cannot_be_executed_has_a_shells_exit_code(
    tmp_path: Path, program: str, code: int, message: bytes
) -> None:
    async with sleeper(tmp_path) as running:
        assert await output(running, program) == (code, b"", message)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
async def test_a_program_owns_its_pipes_and_not_the_null_device(tmp_path: Path) -> None:
    """The null device is the host's: its owner could close it to all others."""
    before = Path(os.devnull).stat().st_uid
    spec = ProcessSpec("pod", "c", ["sleep", "300"], ENVIRONMENT, confinement=Confinement(65534, 65534))
    running = await process_runtime(tmp_path / "instances").run(spec)
    read, write = os.pipe()
    try:
        with Path(os.devnull).open("r+b") as nowhere:
            stdio = Stdio(nowhere.fileno(), write, nowhere.fileno())
            assert await running.execute(["sh", "-c", "echo yes >/dev/stdout"], stdio) == 0
        assert os.read(read, 10) == b"yes\n"
        assert os.fstat(write).st_uid == 65534
        assert Path(os.devnull).stat().st_uid == before
    finally:
        await running.kill()
        os.close(read)
        os.close(write)


async def test_a_program_controls_its_terminal(tmp_path: Path) -> None:
    async with sleeper(tmp_path) as running:
        master, slave = os.openpty()
        termios.tcsetwinsize(slave, (33, 77))
        stdio = Stdio(slave, slave, slave, terminal=True)
        assert await running.execute(["sh", "-c", "stty size </dev/tty; echo $TERM"], stdio) == 0
        assert os.read(master, 100) == b"33 77\r\nxterm\r\n"
        os.close(master)
        os.close(slave)


@pytest.mark.parametrize(
    "program", [["sleep", "300"], [sys.executable, "-c", DETACHED], ["sh", "-c", "setsid sleep 300 & wait"]]
)
async def test_a_cancelled_program_ends_with_all_that_it_started(tmp_path: Path, program: list[str]) -> None:
    async with sleeper(tmp_path) as running:
        with Path(os.devnull).open("r+b") as nowhere:
            file = nowhere.fileno()
            # The shell waits for the program and for nothing that it leaves.
            script = ["sh", "-c", '"$@"; sleep 300', "sh", *program]
            executing = asyncio.create_task(running.execute(script, Stdio(file, file, file)))
            folder = tmp_path / "instances"
            await eventually(lambda: len(sweep.find(folder, {}).get("pod/c", ())) >= 3, "the program has started")
            executing.cancel()
            await asyncio.gather(executing, return_exceptions=True)
        assert len(sweep.find(folder, {})["pod/c"]) == 1
        assert running.process.alive


async def test_a_session_does_not_survive_its_control_plane(tmp_path: Path) -> None:
    """The program is killed by the kernel; a process that it has detached, by the next control plane."""
    script = f"""
import asyncio, os, sys
from pathlib import Path
sys.path.insert(0, {str(ROOT)!r})
from harness.node import process_runtime
from tidegate.node.runtime import Stdio
from tidegate.node.runtimes.process.spec import ProcessSpec

async def main():
    running = await process_runtime(Path({str(tmp_path / "instances")!r})).run(
        ProcessSpec("pod", "c", ["sleep", "300"], {ENVIRONMENT!r}))
    out = os.open({str(tmp_path / "out")!r}, os.O_RDWR | os.O_CREAT)
    await running.execute(["sh", "-c", "setsid sleep 301 & echo $$; exec sleep 302"], Stdio(out, out, out))

asyncio.run(main())
"""
    plane = subprocess.Popen([sys.executable, "-c", script])
    folder = tmp_path / "instances"
    await eventually(lambda: len(sweep.find(folder, {}).get("pod/c", ())) == 3, "the program has started")
    main = Process.of(int((tmp_path / "out").read_text()))
    plane.send_signal(signal.SIGKILL)
    plane.wait()

    assert main is not None
    await asyncio.wait_for(main.ended(), 10)

    runtime = process_runtime(folder)
    await runtime.forget_others(["pod"])
    running = runtime.adopt("pod", "c")
    assert running is not None
    await eventually(lambda: len(sweep.find(folder, {})["pod/c"]) == 1, "the detached process has ended")
    assert running.process.alive
    await running.kill()
