# SPDX-License-Identifier: Apache-2.0
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

from tidegate.kit.processes import Process

DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); signal.pause()"


def test_a_process_is_known_by_its_pid_and_start_time() -> None:
    me = Process.of(os.getpid())

    assert me is not None
    assert me.alive
    assert not me._replace(started=me.started - 1).alive


def test_an_exited_process_is_not_alive_before_it_is_reaped() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    process = Process.of(child.pid)
    assert process is not None

    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)

    assert not process.alive
    assert not process.signal(signal.SIGTERM)
    child.communicate()


async def test_a_process_that_ignores_the_first_signal_is_killed_after_the_grace() -> None:
    with subprocess.Popen([sys.executable, "-c", DEAF], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        process = Process.of(child.pid)
        assert process is not None

        await process.end(grace_seconds=0.05)

        assert child.wait() == -signal.SIGKILL
        await process.ended()  # returns at once for an exited process


async def test_a_stopped_process_handles_the_terminating_signal() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        process = Process.of(child.pid)
        assert process is not None
        child.send_signal(signal.SIGSTOP)

        await process.end(grace_seconds=60)

        assert child.wait() == -signal.SIGTERM


async def test_a_signal_does_not_reach_another_process_of_the_same_pid() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        process = Process.of(child.pid)
        assert process is not None

        assert not process._replace(started=process.started + 1).signal(signal.SIGKILL)

        assert child.poll() is None
        child.kill()


def test_a_process_raises_its_file_limit_and_remembers_the_old_one() -> None:
    program = """
import resource
from tidegate.kit.processes import USUAL_FILES, raise_open_files_limit
raise_open_files_limit()
print(*resource.getrlimit(resource.RLIMIT_NOFILE), *USUAL_FILES)
"""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    done = subprocess.run(
        ["prlimit", f"--nofile=256:{most}", sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )

    assert done.stdout.split() == [str(most), str(most), "256", str(most)]
