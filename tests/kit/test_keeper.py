# SPDX-License-Identifier: Apache-2.0
"""The keeper as `tidegate up --detach` starts it, with small programs."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from harness.waiting import eventually_blocking
from tidegate.cli import failures
from tidegate.kit import keeper, lock

READY = "from tidegate.kit import notify; notify.status('warming up'); notify.ready(); "
LIVES = f"{READY} import signal; signal.pause()"
# ready, then crashes as often as there are files in its folder
CRASHES = f"""
import os, pathlib, sys
left = pathlib.Path(sys.argv[1])
{READY}
if files := sorted(left.iterdir()):
    files[0].unlink()
    os.kill(os.getpid(), 9)
import signal
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
(left.parent / "lives").write_text("")
signal.pause()
"""
QUICK = """
import sys
from tidegate.kit import keeper
keeper.FIRST_SECONDS = 0.01
sys.exit(keeper.main(*sys.argv[1:]))
"""


@contextmanager
def supervised(folder: Path, program: str, *arguments: str) -> "Iterator[subprocess.Popen[str]]":
    command = [sys.executable, "-m", keeper.__name__, str(folder), str(folder / "log")]
    process = subprocess.Popen(
        [*command, sys.executable, "-c", program, *arguments], stdout=subprocess.PIPE, text=True, stderr=subprocess.PIPE
    )
    try:
        with process:
            yield process
    finally:
        process.kill()


def logged(folder: Path) -> list[str]:
    """The events that the keeper logged."""
    lines = [json.loads(line) for line in (folder / "log").read_text().splitlines() if line.startswith("{")]
    return [line["event"] for line in lines if line["logger"] == "keeper"]


def test_the_caller_gets_the_status_until_the_program_is_ready(tmp_path: Path) -> None:
    with supervised(tmp_path, LIVES) as process:
        assert process.stdout is not None
        assert process.stdout.read().splitlines() == ["STATUS=warming up", "READY=1"]  # and no output after that
        process.terminate()
        assert process.wait() == 0

    assert lock.holder(tmp_path / keeper.LOCK) is None


def test_a_crashed_program_is_restarted(tmp_path: Path) -> None:
    left = tmp_path / "left"
    left.mkdir()
    (left / "1").touch()
    with supervised(tmp_path, CRASHES, str(left)) as process:
        eventually_blocking((tmp_path / "lives").exists, "the program's file")
        process.terminate()
        assert process.wait() == 0

    assert logged(tmp_path) == ["ended, is started again"]


def test_a_failed_start_is_retried_later(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text(f"#!{sys.executable}\n{CRASHES}")
    program.chmod(0o755)
    left = tmp_path / "left"
    left.mkdir()
    (left / "1").touch()
    command = [sys.executable, "-m", keeper.__name__, str(tmp_path), str(tmp_path / "log"), str(program), str(left)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "STATUS=warming up\n"
        with program.open("a"):  # the kernel starts no program while its file is open for writing
            eventually_blocking(lambda: len(logged(tmp_path)) >= 2, "two events")
        eventually_blocking((tmp_path / "lives").exists, "the program's file")
        process.terminate()

    assert logged(tmp_path) == ["ended, is started again"] * len(logged(tmp_path))


def test_a_program_that_crashes_repeatedly_is_given_up_with_the_reason(tmp_path: Path) -> None:
    left = tmp_path / "left"
    left.mkdir()
    for number in range(10):
        (left / str(number)).touch()
    program = [sys.executable, "-c", CRASHES, str(left)]
    command = [sys.executable, "-c", QUICK, str(tmp_path), str(tmp_path / "log"), *program]
    done = subprocess.run(command, capture_output=True, check=False)

    assert done.returncode == 1
    assert logged(tmp_path) == ["ended, is started again"] * 5 + ["given up"]
    reason = "it crashed 6 times in a row, the last time with SIGKILL"
    assert (tmp_path / keeper.ENDED).read_text() == reason


@pytest.mark.parametrize(
    ("program", "code", "reason"),
    [
        ("import sys; print('a line'); sys.exit('error: cannot listen on port 80')", 1, "cannot listen on port 80"),
        ("import os; os.kill(os.getpid(), 9)", 1, "it ended with SIGKILL"),
        (
            f"import sys; {READY} sys.stderr.write('error: damaged'); sys.exit({keeper.DO_NOT_RESTART})",
            keeper.DO_NOT_RESTART,
            "damaged",
        ),
    ],
    ids=["fails to start", "is killed while it starts", "cannot use its state"],
)
def test_a_failed_start_or_a_damaged_state_ends_the_keeper(
    tmp_path: Path, program: str, code: int, reason: str
) -> None:
    with supervised(tmp_path, program) as process:
        out, _ = process.communicate(timeout=60)

    assert process.returncode == code
    assert (tmp_path / keeper.ENDED).read_text() == reason
    assert out.splitlines()[-1] in (f"FAILED={reason}", "READY=1")


def test_a_second_keeper_is_refused_with_the_process_of_the_first(tmp_path: Path) -> None:
    with supervised(tmp_path, LIVES) as first:
        assert first.stdout is not None
        first.stdout.read()
        with supervised(tmp_path, LIVES) as second:
            assert second.communicate()[0] == f"HELD={first.pid}\n"
        first.terminate()


def test_a_signal_ends_a_keeper_that_waits_before_a_restart(tmp_path: Path) -> None:
    with supervised(tmp_path, LIVES) as process:
        assert process.stdout is not None
        process.stdout.read()
        (child,) = psutil.Process(process.pid).children()
        os.kill(child.pid, signal.SIGKILL)
        process.terminate()
        assert process.wait() == 0


def test_the_keeper_gives_up_for_the_exit_code_of_a_damaged_state() -> None:
    assert keeper.DO_NOT_RESTART == failures.DAMAGED
